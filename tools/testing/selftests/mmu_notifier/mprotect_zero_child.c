// SPDX-License-Identifier: GPL-2.0
/*
 * Map pages at address 0 and some way behind it, have a device mirror all that,
 * and mprotect() it.
 *
 * Usage: mprotect_zero_child FD MANNER BEHIND, with BEHIND in bytes; struct
 * report goes to FD.
 *
 * It is a program of its own because the test harness itself maps memory, and
 * it may do so where the mapping at address 0 has to end.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "manner.h"
#include "mprotect_zero.h"
#include "probe.h"

#define PAGES_BEHIND	16

static void tell(int fd, struct report *report, enum step step, int ret)
{
	report->step = step;
	report->ret = ret < 0 ? ret : 0;
	if (write(fd, report, sizeof(*report)) != sizeof(*report) || ret < 0)
		_exit(1);
}

/*
 * Address 0. It stays NULL, but the compiler must not know: to it a constant
 * NULL is no address.
 */
char *zero;

static int read_both(int dev, size_t behind)
{
	char c;
	int ret = device_read(dev, zero, &c, 1);

	return ret < 0 || !behind ? ret :
	       device_read(dev, zero + behind, &c, 1);
}

static void count(const struct log *log, const struct manner *manner,
		  struct report *report)
{
	uint64_t started = 0;

	for (unsigned int i = 0; i < log->nr; i++) {
		const struct tmn_record *record = &log->records[i];

		if (record->callback == TMN_RANGE_END)
			report->ends++;
		if (record->callback != manner->teardown)
			continue;
		if (report->starts++ && record->start < started)
			report->overlaps++;
		if (record->end > started)
			started = record->end;
	}
}

static void report_all(const struct manner *manner, size_t behind, int fd)
{
	size_t size = behind + PAGES_BEHIND * sysconf(_SC_PAGESIZE);
	struct report report = {};
	static struct log log;
	int dev, ret = 0;

	if (mmap(zero, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
		 MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		ret = -errno;
	if (!ret)
		ret = probe_write(zero, "a", 1);
	if (!ret)
		ret = probe_write(zero + behind, "b", 1);
	tell(fd, &report, STEP_MAPPED, ret);

	dev = device_open();
	tell(fd, &report, STEP_MIRRORED, dev < 0 ? dev :
	     device_mirror(dev, zero, size, manner->manner, manner->flags));
	tell(fd, &report, STEP_FILLED, read_both(dev, behind));

	device_take_log(dev, &log);
	ret = mprotect(zero, size, PROT_READ) ? -errno : 0;
	tell(fd, &report, STEP_PROTECTED, ret);
	ret = device_take_log(dev, &log);
	count(&log, manner, &report);
	tell(fd, &report, STEP_LOGGED, ret);

	tell(fd, &report, STEP_READ_AGAIN, read_both(dev, behind));
}

int main(int argc, char **argv)
{
	const struct manner *manner;

	if (argc != 4)
		return 2;
	manner = manner_find(argv[2]);
	if (!manner)
		return 2;
	report_all(manner, strtoul(argv[3], NULL, 0), atoi(argv[1]));
	return 0;
}
