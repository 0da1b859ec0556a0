// SPDX-License-Identifier: GPL-2.0
/* The owner goes, while the device is still open elsewhere. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exit.h"
#include "site.h"
#include "stage.h"

#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif

static enum outcome let_exit(struct scene *s)
{
	if (channel_send(&s->to_owner, "", 1))
		return scene_fail(s, "the owner does not listen");
	if (waitpid(s->owner, NULL, 0) != s->owner)
		return scene_error(s, "waitpid");
	s->owner = -1;
	return SITE_PASS;
}

/* Kill the owner, but hold it where it still has its address space */
static enum outcome kill_and_hold(struct scene *s)
{
	int status;

	if (ptrace(PTRACE_SEIZE, s->owner, NULL, PTRACE_O_TRACEEXIT))
		return scene_error(s, "PTRACE_SEIZE");
	kill(s->owner, SIGKILL);
	if (waitpid(s->owner, &status, __WALL) != s->owner)
		return scene_error(s, "waitpid");
	if (WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_EXIT)
		return SITE_PASS;
	s->owner = -1;
	return scene_fail(s, "the owner does not stop at exit: %#x", status);
}

enum outcome exit_reap(struct scene *s, int expected)
{
	enum outcome outcome = kill_and_hold(s);
	int pidfd, ret;

	if (outcome)
		return outcome;
	pidfd = syscall(SYS_pidfd_open, s->owner, 0);
	if (pidfd < 0)
		return scene_error(s, "pidfd_open");
	ret = syscall(SYS_process_mrelease, pidfd, 0) ? errno : 0;
	close(pidfd);
	if (ret == expected)
		return SITE_PASS;
	return scene_fail(s, "process_mrelease: %s", strerror(ret));
}

/*
 * The memory of a killed process is taken in a section that must not sleep.
 * A device that would have to refuses, and keeps what it has for the moment.
 */
static enum outcome reap(struct scene *s)
{
	return exit_reap(s, s->manner->attaches ? EAGAIN : 0);
}

/* Being killed already, it only goes on when it is let go */
void exit_let_die(struct scene *s)
{
	if (s->owner > 0)
		ptrace(PTRACE_DETACH, s->owner, NULL, 0);
}

const struct site exit_sites[] = {
	{
		.id = "owner_exit",
		.name = "exit of the owner",
		.v4 = "exit_mmap",
		.ends_owner = true,
		.prepare = stage_anon,
		.perform = let_exit,
		.expect = {
			.rule = RULE_RELEASE,
			.event = EVENT_RELEASE,
		},
	},
	{
		.id = "process_mrelease",
		.name = "SIGKILL and process_mrelease",
		.v4 = "-",
		.ends_owner = true,
		.prepare = stage_anon,
		.perform = reap,
		.undo = exit_let_die,
		.expect = {
			.rule = RULE_EXACT,
			.event = EVENT_CLEAR,
			.nr = PAGES,
			.locks = TMN_LOCK_MMAP_READ,
			.nonblock = true,
		},
	},
	{}
};
