// SPDX-License-Identifier: GPL-2.0
/* Somebody wants to know what is written to, or executed. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "huge.h"
#include "site.h"
#include "stage.h"
#include "uffd.h"

#define FIRST	3
#define NR	7

#define EXPECT_PROTECT						\
	{							\
		.rule = RULE_EXACT,				\
		.event = EVENT_PROTECTION_VMA,			\
		.first = FIRST,					\
		.nr = NR,					\
		.locks = TMN_LOCK_MMAP_READ,			\
	}

/* The kernel itself lets the writer go on, so nobody has to read events */
static enum outcome watch_pages(struct scene *s, const char *addr, size_t size)
{
	enum outcome outcome = uffd_open(s, UFFD_FEATURE_PAGEFAULT_FLAG_WP |
					    UFFD_FEATURE_WP_UNPOPULATED |
					    UFFD_FEATURE_WP_ASYNC);

	return outcome ? outcome :
	       uffd_register(s, addr, size, UFFDIO_REGISTER_MODE_WP);
}

static enum outcome watch_writes(struct scene *s)
{
	return watch_pages(s, s->addr, s->size);
}

static enum outcome protect_pages(struct scene *s, const char *addr,
				  size_t size)
{
	struct uffdio_writeprotect request = {
		.range = {
			.start = (uintptr_t)addr,
			.len = size,
		},
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	return uffd_ioctl(s, UFFDIO_WRITEPROTECT, &request);
}

static enum outcome write_protect(struct scene *s)
{
	return protect_pages(s, scene_page(s, FIRST), NR * s->page);
}

static enum outcome scan_pages(struct scene *s, const char *addr, size_t size)
{
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = (uintptr_t)addr,
		.end = (uintptr_t)addr + size,
		.category_mask = PAGE_IS_WRITTEN,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int ret = fd < 0 ? -1 : ioctl(fd, PAGEMAP_SCAN, &scan);

	if (ret < 0)
		scene_error(s, "PAGEMAP_SCAN");
	if (fd >= 0)
		close(fd);
	return ret < 0 ? SITE_FAIL : SITE_PASS;
}

static enum outcome scan_written(struct scene *s)
{
	return scan_pages(s, scene_page(s, FIRST), NR * s->page);
}

static enum outcome clear_soft_dirty(struct scene *s)
{
	return stage_need(s, "/proc/self/clear_refs", "4");
}

/*
 * A breakpoint in a page of a program, by way of tracefs. The bytes there have
 * to be an instruction: those of this page of stage_ext4() are one of x86.
 */
#define PROBED		2
#define TRACEFS		"/sys/kernel/tracing/"
#define PROBE_ENABLE	TRACEFS "events/mmu_notifier/probe/enable"

static enum outcome map_program(struct scene *s)
{
	enum outcome outcome = stage_ext4_private(s);

	if (outcome)
		return outcome;
	return mprotect(s->addr, s->size, PROT_READ | PROT_EXEC) ?
	       scene_error(s, "mprotect") : SITE_PASS;
}

static enum outcome define_probe(struct scene *s)
{
	char probe[96];

	snprintf(probe, sizeof(probe),
		 "p:mmu_notifier/probe /proc/%d/fd/%d:%#lx", getpid(), s->file,
		 PROBED * (unsigned long)s->page);
	return stage_need(s, TRACEFS "uprobe_events", probe);
}

static enum outcome set_probe(struct scene *s)
{
	return stage_need(s, PROBE_ENABLE, "1");
}

static enum outcome define_and_set_probe(struct scene *s)
{
	enum outcome outcome = define_probe(s);

	return outcome ? outcome : set_probe(s);
}

static enum outcome remove_probe(struct scene *s)
{
	return stage_need(s, PROBE_ENABLE, "0");
}

static void forget_probe(struct scene *s)
{
	stage_write(PROBE_ENABLE, "0");
	stage_write(TRACEFS "uprobe_events", "-:mmu_notifier/probe");
}

#define EXPECT_SOFT_DIRTY					\
	{							\
		.rule = RULE_COVER,				\
		.event = EVENT_SOFT_DIRTY,			\
		.nr = PAGES,					\
		.locks = TMN_LOCK_MMAP_WRITE,			\
	}

#define EXPECT_PROBE						\
	{							\
		.rule = RULE_EXACT,				\
		.event = EVENT_CLEAR,				\
		.first = PROBED,				\
		.nr = 1,					\
		.locks = TMN_LOCK_MMAP_WRITE,			\
	}

const struct site track_sites[] = {
	{
		.id = "uffd_writeprotect",
		.name = "ioctl(UFFDIO_WRITEPROTECT)",
		.v4 = "-",
		.prepare = stage_anon,
		.arrange = watch_writes,
		.perform = write_protect,
		.expect = EXPECT_PROTECT,
	},
	{
		.id = "pagemap_scan",
		.name = "ioctl(PAGEMAP_SCAN) of written pages",
		.v4 = "-",
		.prepare = stage_anon,
		.arrange = watch_writes,
		.perform = scan_written,
		.expect = EXPECT_PROTECT,
	},
	{
		.id = "soft_dirty",
		.name = "clear_refs, soft-dirty bits",
		.v4 = "-",
		.prepare = stage_anon,
		.perform = clear_soft_dirty,
		.expect = EXPECT_SOFT_DIRTY,
	},
	{
		.id = "uprobe_register",
		.name = "an uprobe is set",
		.v4 = "do_wp_page",
		.untouched = true,
		.read_only = true,
		.prepare = map_program,
		.arrange = define_probe,
		.perform = set_probe,
		.undo = forget_probe,
		.expect = EXPECT_PROBE,
	},
	{
		.id = "uprobe_unregister",
		.name = "an uprobe is removed",
		.v4 = "-",
		.untouched = true,
		.read_only = true,
		.prepare = map_program,
		.arrange = define_and_set_probe,
		.perform = remove_probe,
		.undo = forget_probe,
		.expect = EXPECT_PROBE,
	},
	{}
};

/*
 * The same on a transparent huge page, which none of it splits
 */

static enum outcome watch_huge(struct scene *s)
{
	enum outcome outcome = huge_is_mapped(s);

	return outcome ? outcome : watch_pages(s, s->huge, s->huge_size);
}

static enum outcome stays_huge(struct scene *s, enum outcome outcome)
{
	if (outcome)
		return outcome;
	return huge_is_mapped(s) ? scene_fail(s, "split") : SITE_PASS;
}

static enum outcome write_protect_huge(struct scene *s)
{
	return stays_huge(s, protect_pages(s, s->huge, s->huge_size));
}

static enum outcome scan_huge(struct scene *s)
{
	return stays_huge(s, scan_pages(s, s->huge, s->huge_size));
}

static enum outcome clear_huge_soft_dirty(struct scene *s)
{
	return stays_huge(s, clear_soft_dirty(s));
}

#define EXPECT_PROTECT_HUGE					\
	{							\
		.rule = RULE_HUGE,				\
		.event = EVENT_PROTECTION_VMA,			\
		.nr = PAGES,					\
		.locks = TMN_LOCK_MMAP_READ,			\
	}

const struct site thp_track_sites[] = {
	{
		.id = "thp_uffd_writeprotect",
		.name = "ioctl(UFFDIO_WRITEPROTECT) of a THP",
		.v4 = "-",
		.prepare = huge_anon,
		.arrange = watch_huge,
		.perform = write_protect_huge,
		.expect = EXPECT_PROTECT_HUGE,
	},
	{
		.id = "thp_pagemap_scan",
		.name = "ioctl(PAGEMAP_SCAN) of a written THP",
		.v4 = "-",
		.prepare = huge_anon,
		.arrange = watch_huge,
		.perform = scan_huge,
		.expect = EXPECT_PROTECT_HUGE,
	},
	{
		.id = "thp_soft_dirty",
		.name = "clear_refs, soft-dirty bit of a THP",
		.v4 = "-",
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = clear_huge_soft_dirty,
		.expect = EXPECT_SOFT_DIRTY,
	},
	{}
};
