/* SPDX-License-Identifier: GPL-2.0 */
/* Kill the owner of a scene and take its memory before it can exit. */
#ifndef SELFTEST_MMU_NOTIFIER_EXIT_H
#define SELFTEST_MMU_NOTIFIER_EXIT_H

#include "scene.h"

/* Fails unless process_mrelease() does with the error @expected, or none */
enum outcome exit_reap(struct scene *s, int expected);

/* Let the owner go on to exit */
void exit_let_die(struct scene *s);

#endif /* SELFTEST_MMU_NOTIFIER_EXIT_H */
