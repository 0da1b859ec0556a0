// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"
#include "scene.h"
#include "site.h"

/* One way to look at the pages; both return a negative errno on failure */
struct view {
	const char *name;
	int (*read)(struct scene *s, unsigned int page, void *buf);
	int (*write)(struct scene *s, unsigned int page, const void *buf);
};

static char first_buf[MAX_PAGE_SIZE], buf[MAX_PAGE_SIZE];

static void scene_note(struct scene *s, const char *fmt, va_list args)
{
	if (!s->why[0])
		vsnprintf(s->why, sizeof(s->why), fmt, args);
}

enum outcome scene_fail(struct scene *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	scene_note(s, fmt, args);
	va_end(args);
	return SITE_FAIL;
}

enum outcome scene_skip(struct scene *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	scene_note(s, fmt, args);
	va_end(args);
	return SITE_SKIP;
}

enum outcome scene_error(struct scene *s, const char *what)
{
	return scene_fail(s, "%s: %s", what, strerror(errno));
}

static int cpu_read(struct scene *s, unsigned int page, void *to)
{
	return probe_read(scene_page(s, page), to, s->page);
}

static int cpu_write(struct scene *s, unsigned int page, const void *from)
{
	return probe_write(scene_page(s, page), from, s->page);
}

static int dev_read(struct scene *s, unsigned int page, void *to)
{
	int ret = device_read(s->dev, scene_page(s, page), to, s->page);

	return ret < 0 ? ret : 0;
}

static int dev_write(struct scene *s, unsigned int page, const void *from)
{
	int ret = device_write(s->dev, scene_page(s, page), from, s->page);

	return ret < 0 ? ret : 0;
}

static const struct view cpu_view = { "the CPU", cpu_read, cpu_write };
static const struct view dev_view = { "the device", dev_read, dev_write };
static const struct view agent_view = { "the agent", agent_read, agent_write };

/* The views that there are of this scene, NULL behind the last */
static void scene_views(struct scene *s, const struct view *views[4])
{
	if (!s->owner)
		*views++ = &cpu_view;
	*views++ = &dev_view;
	if (s->manner->attaches)
		*views++ = &agent_view;
	*views = NULL;
}

/* Data that no page has had before: no two stamps are the same */
static const void *stamp(struct scene *s)
{
	static uint64_t generation;
	uint64_t *word = (uint64_t *)buf;

	generation++;
	for (size_t i = 0; i < s->page / sizeof(*word); i++)
		word[i] = generation << 32 | i;
	return buf;
}

/* All views can read @page and see the same, or none can */
static enum outcome compare_read(struct scene *s, const struct view **views,
				 unsigned int page)
{
	const struct view *first = *views++;
	int first_ret = first->read(s, page, first_buf);

	for (; *views; views++) {
		int ret = (*views)->read(s, page, buf);

		if (!ret != !first_ret)
			return scene_fail(s, "page %u: %s reads %d, %s %d",
					  page, first->name, first_ret,
					  (*views)->name, ret);
		if (!ret && memcmp(first_buf, buf, s->page))
			return scene_fail(s, "page %u: %s and %s differ",
					  page, first->name, (*views)->name);
	}
	return SITE_PASS;
}

/* All views can write to @page and the others see it, or none can */
static enum outcome compare_write(struct scene *s, const struct view **views,
				  unsigned int page)
{
	const struct view *first = *views;
	int first_ret = 0;

	for (const struct view **view = views; *view; view++) {
		int ret = (*view)->write(s, page, stamp(s));

		if (view == views)
			first_ret = ret;
		if (!ret != !first_ret)
			return scene_fail(s, "page %u: %s writes %d, %s %d",
					  page, first->name, first_ret,
					  (*view)->name, ret);
		if (compare_read(s, views, page))
			return scene_fail(s, "after a write by %s",
					  (*view)->name);
	}
	return SITE_PASS;
}

/* The owner is gone, or as good as gone: nobody has access any more */
static enum outcome compare_none(struct scene *s, const struct view **views,
				 unsigned int page)
{
	for (; *views; views++) {
		if (!(*views)->read(s, page, buf))
			return scene_fail(s, "page %u: %s still reads",
					  page, (*views)->name);
	}
	return SITE_PASS;
}

enum outcome scene_compare(struct scene *s)
{
	const struct view *views[4];

	scene_views(s, views);
	for (unsigned int page = 0; page < PAGES; page++) {
		enum outcome outcome;

		if (s->owner && !s->refused) {
			outcome = compare_none(s, views, page);
		} else {
			outcome = compare_read(s, views, page);
			if (!outcome && !s->owner)
				outcome = compare_write(s, views, page);
		}
		if (outcome)
			return outcome;
	}
	return SITE_PASS;
}

/* The start of the first huge page behind @addr */
static char *huge_behind(const struct scene *s, const char *addr)
{
	uintptr_t next = (uintptr_t)addr + s->huge_size;

	return (char *)(next - next % s->huge_size);
}

/*
 * Reserve the addresses, with a gap on both sides against VMA merging, and so
 * that there may be huge pages around them
 */
static enum outcome scene_reserve(struct scene *s)
{
	s->page = sysconf(_SC_PAGESIZE);
	if (s->page > MAX_PAGE_SIZE)
		return scene_fail(s, "pages of %zu bytes", s->page);
	s->size = PAGES * s->page;
	s->huge_size = s->page * (s->page / sizeof(uint64_t));
	s->arena_size = 5 * s->huge_size;
	s->arena = mmap(NULL, s->arena_size, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->arena == MAP_FAILED)
		return scene_error(s, "mmap");
	s->huge = huge_behind(s, s->arena);
	s->huge_spare = s->huge + 2 * s->huge_size;
	s->addr = s->huge + s->huge_size / 2;
	s->spare = s->huge_spare + s->huge_size / 2;
	return SITE_PASS;
}

/* What the owner does itself: map, touch, let the device mirror */
static enum outcome scene_set(struct scene *s, const struct site *site)
{
	enum outcome outcome = site->prepare(s);
	int ret;

	for (unsigned int page = 0; !outcome && page < PAGES; page++) {
		ret = site->untouched ? cpu_read(s, page, buf) :
					cpu_write(s, page, stamp(s));
		if (ret)
			outcome = scene_fail(s, "page %u: touched: %d",
					     page, ret);
	}
	if (!outcome && site->arrange)
		outcome = site->arrange(s);
	if (outcome)
		return outcome;

	ret = device_mirror(s->dev, s->addr, s->size, s->manner->manner,
			    s->manner->flags);
	if (ret)
		return scene_fail(s, "TMN_MIRROR: %s", strerror(-ret));
	return SITE_PASS;
}

/* What the owner tells the process that watches it */
struct owner_report {
	enum outcome outcome;
	char why[sizeof(((struct scene *)0)->why)];
};

static void owner_main(struct scene *s, const struct site *site,
		       const struct channel *end)
{
	struct owner_report report = {};
	char go;

	report.outcome = scene_set(s, site);
	memcpy(report.why, s->why, sizeof(report.why));
	if (!channel_send(end, &report, sizeof(report)) &&
	    !channel_receive(end, &go, sizeof(go)))
		_exit(0);
	_exit(1);
}

static enum outcome scene_set_elsewhere(struct scene *s,
					const struct site *site)
{
	struct owner_report report;
	struct channel ends[2];

	if (channel_open(ends))
		return scene_fail(s, "no channel to the owner");
	s->owner = fork();
	if (!s->owner) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		channel_close(&ends[0]);
		owner_main(s, site, &ends[1]);
	}
	channel_close(&ends[1]);
	s->to_owner = ends[0];
	if (s->owner < 0)
		return scene_error(s, "fork");
	if (channel_receive(&s->to_owner, &report, sizeof(report)))
		return scene_fail(s, "the owner died");
	memcpy(s->why, report.why, sizeof(s->why));
	return report.outcome;
}

/* Let all views see all pages, and the device write to them if it may */
static enum outcome scene_fill(struct scene *s, const struct site *site)
{
	const struct view *views[4];

	scene_views(s, views);
	for (unsigned int page = 0; page < PAGES; page++) {
		enum outcome outcome = compare_read(s, views, page);
		int ret;

		if (!outcome && !site->read_only) {
			ret = dev_write(s, page, stamp(s));
			if (ret)
				return scene_fail(s, "page %u: filled: %d",
						  page, ret);
			outcome = compare_read(s, views, page);
		}
		if (outcome)
			return outcome;
		if (dev_read(s, page, buf))
			return scene_fail(s, "page %u: unreadable", page);
	}
	return SITE_PASS;
}

/*
 * Stay on one CPU: pages that wait in the LRU batch of another would be out
 * of the reach of local operations.
 */
static void stay_here(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	sched_setaffinity(0, sizeof(here), &here);
}

enum outcome scene_open(struct scene *s, const struct site *site,
			const struct manner *manner)
{
	enum outcome outcome;
	int ret;

	memset(s, 0, sizeof(*s));
	s->manner = manner;
	s->file = -1;
	s->tool = -1;
	s->arena = MAP_FAILED;
	signal(SIGPIPE, SIG_IGN);
	stay_here();
	s->dev = device_open();
	if (s->dev < 0)
		return scene_skip(s, "no /dev/test_mmu_notifier: %s",
				  strerror(-s->dev));
	outcome = scene_reserve(s);
	if (outcome)
		return outcome;
	ret = agent_start(s);
	if (ret)
		return scene_fail(s, "agent: %s", strerror(-ret));

	outcome = site->ends_owner ? scene_set_elsewhere(s, site) :
				     scene_set(s, site);
	if (outcome)
		return outcome;
	if (manner->attaches) {
		ret = agent_attach(s);
		if (ret)
			return scene_fail(s, "attach: %s", strerror(-ret));
	}
	return scene_fill(s, site);
}

static void end_child(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, __WALL);
}

void scene_close(struct scene *s, const struct site *site)
{
	if (site->undo)
		site->undo(s);
	end_child(s->child);
	end_child(s->owner);
	if (s->owner)
		channel_close(&s->to_owner);
	agent_stop(s);
	if (s->file >= 0)
		close(s->file);
	if (s->tool >= 0)
		close(s->tool);
	if (s->dev >= 0)
		close(s->dev);
	if (s->arena != MAP_FAILED)
		munmap(s->arena, s->arena_size);
}
