// SPDX-License-Identifier: GPL-2.0
/*
 * mprotect() of a mapping at address 0: the start of a section has exactly one
 * end, and the device can fault again afterwards.
 *
 * A fault that waits for an end that never comes cannot be interrupted. So the
 * work is done by a child, which reports as it gets on; it is left behind if
 * it gets stuck.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "manner.h"
#include "mprotect_zero.h"

#define PATIENCE_MSEC	5000
#define GIB		(1024UL * 1024 * 1024)

static const char * const step_names[STEPS] = {
	[STEP_MAPPED] = "mmap at address 0",
	[STEP_MIRRORED] = "mirror",
	[STEP_FILLED] = "device read",
	[STEP_PROTECTED] = "mprotect",
	[STEP_LOGGED] = "log",
	[STEP_READ_AGAIN] = "device read after mprotect",
};

FIXTURE(mprotect_zero) {
	int from_child;
	pid_t child;
};

FIXTURE_VARIANT(mprotect_zero) {
	const struct manner *manner;
	size_t behind;		/* where the mapping's last pages are */
};

FIXTURE_VARIANT_ADD(mprotect_zero, kvm) {
	.manner = &manner_kvm,
};

FIXTURE_VARIANT_ADD(mprotect_zero, xpmem) {
	.manner = &manner_xpmem,
};

/* With a second entry in the page table that has the notifier calls */
FIXTURE_VARIANT_ADD(mprotect_zero, kvm_two_puds) {
	.manner = &manner_kvm,
	.behind = GIB,
};

FIXTURE_VARIANT_ADD(mprotect_zero, xpmem_two_puds) {
	.manner = &manner_xpmem,
	.behind = GIB,
};

/* The program next to this one; it must not keep our output open when stuck */
static void child_exec(const struct manner *manner, size_t behind, int fd)
{
	char path[PATH_MAX], fd_arg[16], behind_arg[32];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 32);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (len < 0)
		_exit(1);
	path[len] = '\0';
	strcpy(strrchr(path, '/') + 1, "mprotect_zero_child");
	snprintf(fd_arg, sizeof(fd_arg), "%d", fd);
	snprintf(behind_arg, sizeof(behind_arg), "%zu", behind);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	execl(path, path, fd_arg, manner->name, behind_arg, NULL);
	_exit(1);
}

FIXTURE_SETUP(mprotect_zero)
{
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	self->child = fork();
	ASSERT_LE(0, self->child);
	if (!self->child)
		child_exec(variant->manner, variant->behind, ends[1]);
	close(ends[1]);
	self->from_child = ends[0];
}

FIXTURE_TEARDOWN(mprotect_zero)
{
	kill(self->child, SIGKILL);
	waitpid(self->child, NULL, WNOHANG);
}

/* Returns false if the child does not get there in time */
static bool await(int fd, struct report *report)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	return poll(&wait, 1, PATIENCE_MSEC) == 1 &&
	       read(fd, report, sizeof(*report)) == sizeof(*report);
}

TEST_F(mprotect_zero, starts_and_ends_match)
{
	struct report report;

	for (enum step step = 0; step < STEPS; step++) {
		ASSERT_TRUE(await(self->from_child, &report)) {
			TH_LOG("%s: not done", step_names[step]);
		}
		ASSERT_EQ(step, report.step);
		if (step == STEP_MAPPED && report.ret)
			SKIP(return, "no mapping at address 0: %s",
			     strerror(-report.ret));
		if (step == STEP_MIRRORED && report.ret == -ENOENT)
			SKIP(return, "no /dev/test_mmu_notifier");
		ASSERT_EQ(0, report.ret) {
			TH_LOG("%s", step_names[step]);
		}
		if (step != STEP_LOGGED)
			continue;
		EXPECT_LE(1, report.starts);
		EXPECT_EQ(0, report.overlaps);
		if (variant->manner->ends)
			EXPECT_EQ(report.starts, report.ends);
	}
}

TEST_HARNESS_MAIN
