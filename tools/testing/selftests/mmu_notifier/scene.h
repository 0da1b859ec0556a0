/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A scene is what one operation is performed on: PAGES pages at @addr of a
 * process, the owner, and a device that mirrors them. The owner is this
 * process, or a child of it if the operation ends the owner.
 *
 * The same pages are seen through several views: by the owner's CPU, by the
 * device, and in manners that allow it by another process, the agent, that
 * has mapped an attached device. All views must agree at any time.
 */
#ifndef SELFTEST_MMU_NOTIFIER_SCENE_H
#define SELFTEST_MMU_NOTIFIER_SCENE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "kselftest.h"
#include "channel.h"
#include "device.h"
#include "manner.h"

#define PAGES		16
#define ALL_PAGES	((1u << PAGES) - 1)
#define MAX_PAGE_SIZE	65536

enum outcome {
	SITE_PASS,
	SITE_SKIP,	/* something that the operation needs is missing */
	SITE_FAIL,
};

struct site;

struct scene {
	const struct manner *manner;
	int dev;
	size_t page;		/* bytes in a page */
	size_t size;		/* bytes mirrored: PAGES pages */
	char *addr;		/* the mirrored range */
	char *spare;		/* room for as much again, reserved */
	size_t huge_size;	/* bytes in a huge page, a page table's worth */
	char *huge;		/* room for one around @addr, reserved */
	char *huge_spare;	/* room for another around @spare, reserved */
	char *arena;		/* all that is reserved ... */
	size_t arena_size;	/* ... in bytes */
	int file;		/* what is mapped at @addr, or -1 */
	int tool;		/* what else the operation has open, or -1 */
	pid_t owner;		/* if not this process, or 0; -1 if reaped */
	struct channel to_owner;
	pid_t agent;
	struct channel to_agent;
	pid_t child;		/* a forked copy of the owner, or 0 */
	unsigned int moved;	/* bitmap of pages that are known to have moved */
	bool refused;		/* the device refused the operation */
	char why[160];		/* it did not pass */
};

/* Note why, unless there is a reason already; return SITE_FAIL or SITE_SKIP */
__printf(2, 3)
enum outcome scene_fail(struct scene *s, const char *fmt, ...);
__printf(2, 3)
enum outcome scene_skip(struct scene *s, const char *fmt, ...);
/* The same for a failed system call, with errno */
enum outcome scene_error(struct scene *s, const char *what);

/* Build the scene of @site up to where all views have seen all pages */
enum outcome scene_open(struct scene *s, const struct site *site,
			const struct manner *manner);
/* Compare all views of all pages, after the operation */
enum outcome scene_compare(struct scene *s);
void scene_close(struct scene *s, const struct site *site);

static inline char *scene_page(const struct scene *s, unsigned int page)
{
	return s->addr + page * s->page;
}

/* The agent (agent.c): all return 0 or a negative errno */
int agent_start(struct scene *s);
int agent_attach(struct scene *s);
int agent_read(struct scene *s, unsigned int page, void *buf);
int agent_write(struct scene *s, unsigned int page, const void *buf);
int agent_page_out(struct scene *s);
void agent_stop(struct scene *s);

#endif /* SELFTEST_MMU_NOTIFIER_SCENE_H */
