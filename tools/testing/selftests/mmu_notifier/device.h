/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ioctls of /dev/test_mmu_notifier as functions. All of them return a
 * negative errno on failure.
 */
#ifndef SELFTEST_MMU_NOTIFIER_DEVICE_H
#define SELFTEST_MMU_NOTIFIER_DEVICE_H

#include <stddef.h>

/* This interface is private to the test driver, hence not in include/uapi */
#include <lib/test_mmu_notifier_uapi.h>

#define LOG_RECORDS 512

/* What the device heard, oldest first */
struct log {
	unsigned int nr;
	unsigned int lost;
	struct tmn_record records[LOG_RECORDS];
};

int device_open(void);
int device_mirror(int dev, const void *addr, size_t size,
		  enum tmn_manner manner, unsigned int flags);
int device_attach(int dev, int fd);

/* Returns the number of device faults that it took */
int device_read(int dev, const void *addr, void *buf, size_t len);
int device_write(int dev, void *addr, const void *buf, size_t len);

int device_take_log(int dev, struct log *log);
int device_check(int dev, struct tmn_check *check);
int device_behave(int dev, enum tmn_behaviour behaviour, unsigned int msecs);

const char *device_stale_reason(unsigned int reason);

#endif /* SELFTEST_MMU_NOTIFIER_DEVICE_H */
