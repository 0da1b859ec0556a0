/* SPDX-License-Identifier: GPL-2.0 */
/* What several sites need to set the scene. */
#ifndef SELFTEST_MMU_NOTIFIER_STAGE_H
#define SELFTEST_MMU_NOTIFIER_STAGE_H

#include "scene.h"

/* Map at scene->addr, with new pages behind it. These may be .prepare */
enum outcome stage_anon(struct scene *s);
enum outcome stage_tmpfs(struct scene *s);
enum outcome stage_ext4(struct scene *s);		/* shared */
enum outcome stage_ext4_private(struct scene *s);
enum outcome stage_dax(struct scene *s);		/* shared */
enum outcome stage_dax_private(struct scene *s);

/* Open a new file, on a file system that is mounted with -o dax */
enum outcome stage_open_dax(struct scene *s);

/* Is there swap space? */
enum outcome stage_swap(struct scene *s);
/* The same, if there is */
enum outcome stage_anon_swap(struct scene *s);
enum outcome stage_tmpfs_swap(struct scene *s);

/* Fork a child that keeps a copy of the address space: .arrange, .perform */
enum outcome stage_fork(struct scene *s);

/* Call madvise() on the whole range */
enum outcome stage_madvise(struct scene *s, int advice, const char *name);

/* Put @value into @path, a file of procfs, sysfs or cgroupfs */
int stage_write(const char *path, const char *value);
/* The same, but it is a reason to skip if it cannot be done */
enum outcome stage_need(struct scene *s, const char *path, const char *value);

/* Empty the LRU batches of this CPU, on which the owner stays */
enum outcome stage_drain_lru(struct scene *s);

#endif /* SELFTEST_MMU_NOTIFIER_STAGE_H */
