/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Access memory by the CPU, with an error instead of a signal where it cannot.
 * The kernel should not copy instead: it may not look at the protection.
 */
#ifndef SELFTEST_MMU_NOTIFIER_PROBE_H
#define SELFTEST_MMU_NOTIFIER_PROBE_H

#include <stddef.h>

/* Both return 0 or -EFAULT. For one thread only */
int probe_read(const void *addr, void *buf, size_t len);
int probe_write(void *addr, const void *buf, size_t len);

/* The page frame at @addr from /proc/self/pagemap, 0 if none or hidden */
unsigned long probe_pfn(const void *addr);

#endif /* SELFTEST_MMU_NOTIFIER_PROBE_H */
