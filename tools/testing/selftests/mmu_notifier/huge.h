/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Huge pages. The mirrored pages lie in the middle of one at scene->huge, and
 * there is room for another at scene->huge_spare.
 */
#ifndef SELFTEST_MMU_NOTIFIER_HUGE_H
#define SELFTEST_MMU_NOTIFIER_HUGE_H

#include "site.h"

/* Map at scene->huge what gets a huge page when it is touched: .prepare */
enum outcome huge_anon(struct scene *s);
enum outcome hugetlb_private(struct scene *s);
enum outcome hugetlb_shared(struct scene *s);
enum outcome huge_dax(struct scene *s);			/* shared */
enum outcome huge_dax_private(struct scene *s);

/* As much, in small pages */
enum outcome huge_anon_small(struct scene *s);
enum outcome huge_tmpfs_small(struct scene *s);

/* A huge page is mapped there, or it is not: .arrange */
enum outcome huge_is_mapped(struct scene *s);
enum outcome huge_is_not_mapped(struct scene *s);

/* The same, then fork as stage_fork() does */
enum outcome huge_fork(struct scene *s);

/* To all of it, or to the first half of the mirrored pages: .perform */
enum outcome huge_unmap(struct scene *s);
enum outcome huge_unmap_part(struct scene *s);
enum outcome huge_dontneed(struct scene *s);
enum outcome huge_protect(struct scene *s);
enum outcome huge_truncate(struct scene *s);

/* A section of the whole huge page, under one of the locks */
#define EXPECT_HUGE(of_event, lock)				\
	{							\
		.rule = RULE_HUGE,				\
		.event = (of_event),				\
		.nr = PAGES,					\
		.one_of = (lock),				\
	}

#endif /* SELFTEST_MMU_NOTIFIER_HUGE_H */
