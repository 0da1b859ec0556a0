// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#include "device.h"

static int device_ioctl(int dev, unsigned long request, void *arg)
{
	return ioctl(dev, request, arg) < 0 ? -errno : 0;
}

int device_open(void)
{
	int dev = open("/dev/test_mmu_notifier", O_RDWR | O_CLOEXEC);

	return dev < 0 ? -errno : dev;
}

int device_mirror(int dev, const void *addr, size_t size,
		  enum tmn_manner manner, unsigned int flags)
{
	struct tmn_mirror mirror = {
		.addr = (uintptr_t)addr,
		.size = size,
		.manner = manner,
		.flags = flags,
	};

	return device_ioctl(dev, TMN_MIRROR, &mirror);
}

int device_attach(int dev, int fd)
{
	struct tmn_attach attach = { .fd = fd };

	return device_ioctl(dev, TMN_ATTACH, &attach);
}

static int device_access(int dev, unsigned long request, const void *addr,
			 const void *buf, size_t len)
{
	struct tmn_access access = {
		.addr = (uintptr_t)addr,
		.buf = (uintptr_t)buf,
		.len = len,
	};
	int ret = device_ioctl(dev, request, &access);

	return ret ? ret : (int)access.faults;
}

int device_read(int dev, const void *addr, void *buf, size_t len)
{
	return device_access(dev, TMN_READ, addr, buf, len);
}

int device_write(int dev, void *addr, const void *buf, size_t len)
{
	return device_access(dev, TMN_WRITE, addr, buf, len);
}

int device_take_log(int dev, struct log *log)
{
	struct tmn_log take = {
		.records = (uintptr_t)log->records,
		.nr = LOG_RECORDS,
	};
	int ret = device_ioctl(dev, TMN_LOG, &take);

	log->nr = ret ? 0 : take.nr;
	log->lost = take.lost;
	return ret;
}

int device_check(int dev, struct tmn_check *check)
{
	memset(check, 0, sizeof(*check));
	return device_ioctl(dev, TMN_CHECK, check);
}

int device_behave(int dev, enum tmn_behaviour behaviour, unsigned int msecs)
{
	struct tmn_behave behave = {
		.behaviour = behaviour,
		.msecs = msecs,
	};

	return device_ioctl(dev, TMN_BEHAVE, &behave);
}

const char *device_stale_reason(unsigned int reason)
{
	switch (reason) {
	case TMN_STALE_UNMAPPED:
		return "unmapped by the owner";
	case TMN_STALE_OTHER_PAGE:
		return "another page at the owner";
	case TMN_STALE_WRITABLE:
		return "writable, but not for the owner";
	default:
		return "not stale";
	}
}
