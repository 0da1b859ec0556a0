/* SPDX-License-Identifier: GPL-2.0 */
/* Let KSM merge the pages KSM_FIRST and KSM_FIRST + 1. */
#ifndef SELFTEST_MMU_NOTIFIER_KSM_H
#define SELFTEST_MMU_NOTIFIER_KSM_H

#include "scene.h"

#define KSM_FIRST	2

enum outcome ksm_prepare(struct scene *s);
enum outcome ksm_make_equal(struct scene *s);
enum outcome ksm_merge(struct scene *s);
enum outcome ksm_merge_equal(struct scene *s);	/* both */
void ksm_undo(struct scene *s);

#endif /* SELFTEST_MMU_NOTIFIER_KSM_H */
