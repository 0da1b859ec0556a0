// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"

#define PAGEMAP_PRESENT	0x8000000000000000ULL
#define PAGEMAP_PFN	0x007fffffffffffffULL

static sigjmp_buf back;

static void jump_back(int signo)
{
	siglongjmp(back, signo);
}

/* Returns false if an access of the copy was not possible */
static bool try_copy(void *to, const void *from, size_t len)
{
	if (sigsetjmp(back, 1))
		return false;
	memcpy(to, from, len);
	return true;
}

static int copy_or_fault(void *to, const void *from, size_t len)
{
	struct sigaction jump = { .sa_handler = jump_back };
	struct sigaction old_segv, old_bus;
	bool done;

	sigaction(SIGSEGV, &jump, &old_segv);
	sigaction(SIGBUS, &jump, &old_bus);
	done = try_copy(to, from, len);
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGBUS, &old_bus, NULL);
	return done ? 0 : -EFAULT;
}

int probe_read(const void *addr, void *buf, size_t len)
{
	return copy_or_fault(buf, addr, len);
}

int probe_write(void *addr, const void *buf, size_t len)
{
	return copy_or_fault(addr, buf, len);
}

unsigned long probe_pfn(const void *addr)
{
	off_t offset = (uintptr_t)addr / getpagesize() * sizeof(uint64_t);
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry), offset) != sizeof(entry))
		entry = 0;
	close(fd);
	return entry & PAGEMAP_PRESENT ? entry & PAGEMAP_PFN : 0;
}
