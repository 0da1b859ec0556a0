/* SPDX-License-Identifier: GPL-2.0 */
/* A userfaultfd in scene->tool. */
#ifndef SELFTEST_MMU_NOTIFIER_UFFD_H
#define SELFTEST_MMU_NOTIFIER_UFFD_H

#include <linux/userfaultfd.h>
#include <stdint.h>

#include "scene.h"

/* Open it with these features; skip if the kernel has not all of them */
enum outcome uffd_open(struct scene *s, uint64_t features);
enum outcome uffd_register(struct scene *s, const void *addr, size_t size,
			   uint64_t mode);
/* One of the requests that change pages */
enum outcome uffd_ioctl(struct scene *s, unsigned long request, void *arg);

#endif /* SELFTEST_MMU_NOTIFIER_UFFD_H */
