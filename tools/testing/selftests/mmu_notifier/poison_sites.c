// SPDX-License-Identifier: GPL-2.0
/* The memory behind a page goes bad, or is about to. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "site.h"
#include "stage.h"

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

#define BAD	5	/* the page it happens to */

#define EXPECT_BAD(lock)					\
	{							\
		.rule = RULE_EXACT,				\
		.event = EVENT_CLEAR,				\
		.first = BAD,					\
		.nr = 1,					\
		.locks = (lock),				\
	}

static enum outcome spoil(struct scene *s, int advice, const char *name)
{
	if (!madvise(scene_page(s, BAD), s->page, advice))
		return SITE_PASS;
	if (errno == EINVAL || errno == EPERM)
		return scene_skip(s, "%s: %s", name, strerror(errno));
	return scene_error(s, name);
}

static void survive(int signo)
{
}

/* Whoever has the page mapped is sent a signal, also without an access to it */
static enum outcome poison(struct scene *s)
{
	struct sigaction act = { .sa_handler = survive }, old;
	enum outcome outcome;

	sigaction(SIGBUS, &act, &old);
	outcome = spoil(s, MADV_HWPOISON, "MADV_HWPOISON");
	sigaction(SIGBUS, &old, NULL);
	return outcome;
}

static enum outcome take_offline(struct scene *s)
{
	return spoil(s, MADV_SOFT_OFFLINE, "MADV_SOFT_OFFLINE");
}

const struct site poison_sites[] = {
	{
		.id = "hwpoison_anon",
		.name = "madvise(MADV_HWPOISON)",
		.v4 = "try_to_unmap",
		.prepare = stage_anon,
		.perform = poison,
		.expect = EXPECT_BAD(TMN_LOCK_ANON_VMA_READ),
	},
	{
		.id = "hwpoison_tmpfs",
		.name = "madvise(MADV_HWPOISON) of tmpfs",
		.v4 = "try_to_unmap",
		.prepare = stage_tmpfs,
		.perform = poison,
		.expect = EXPECT_BAD(TMN_LOCK_I_MMAP_READ),
	},
	{
		.id = "soft_offline",
		.name = "madvise(MADV_SOFT_OFFLINE)",
		.v4 = "-",
		.prepare = stage_anon,
		.perform = take_offline,
		.expect = EXPECT_BAD(TMN_LOCK_ANON_VMA_READ),
	},
	{}
};
