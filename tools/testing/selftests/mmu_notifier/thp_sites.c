// SPDX-License-Identifier: GPL-2.0
/*
 * Access to a transparent huge page goes or changes, by operations on all of it
 * or, after it has been split, on a part.
 */
#include <sys/mman.h>

#include "huge.h"
#include "probe.h"
#include "site.h"
#include "stage.h"

#define WRITTEN	5	/* the page that is written to */

#define MMAP_LOCK	(TMN_LOCK_MMAP_READ | TMN_LOCK_MMAP_WRITE)
#define VMA_LOCK	(TMN_LOCK_MMAP_READ | TMN_LOCK_VMA)

static enum outcome dontneed_part(struct scene *s)
{
	return madvise(s->addr, s->size / 2, MADV_DONTNEED) ?
	       scene_error(s, "MADV_DONTNEED") : SITE_PASS;
}

static enum outcome free_lazily(struct scene *s)
{
	return madvise(s->huge, s->huge_size, MADV_FREE) ?
	       scene_error(s, "MADV_FREE") : SITE_PASS;
}

static enum outcome protect_part(struct scene *s)
{
	return mprotect(s->addr, s->size / 2, PROT_READ) ?
	       scene_error(s, "mprotect") : SITE_PASS;
}

static enum outcome write_one(struct scene *s)
{
	return probe_write(scene_page(s, WRITTEN), "x", 1) ?
	       scene_error(s, "write") : SITE_PASS;
}

const struct site thp_sites[] = {
	{
		.id = "thp_munmap",
		.name = "munmap of a THP",
		.v4 = "unmap_vmas",
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = huge_unmap,
		.expect = EXPECT_HUGE(EVENT_UNMAP, MMAP_LOCK),
	},
	{
		.id = "thp_munmap_part",
		.name = "munmap of a part of a THP: split",
		.v4 = "-",
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = huge_unmap_part,
		.expect = EXPECT_HUGE(EVENT_CLEAR, TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "thp_dontneed",
		.name = "MADV_DONTNEED of a THP",
		.v4 = "zap_page_range",
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = huge_dontneed,
		.expect = EXPECT_HUGE(EVENT_CLEAR, VMA_LOCK),
	},
	{
		.id = "thp_dontneed_part",
		.name = "MADV_DONTNEED of a part of a THP",
		.v4 = "zap_page_range",
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = dontneed_part,
		.expect = EXPECT_HUGE(EVENT_CLEAR, VMA_LOCK),
	},
	{
		.id = "thp_free",
		.name = "MADV_FREE of a THP",
		.v4 = "-",
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = free_lazily,
		.expect = EXPECT_HUGE(EVENT_CLEAR, VMA_LOCK),
	},
	{
		.id = "thp_mprotect",
		.name = "mprotect of a THP",
		.v4 = "-",
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = huge_protect,
		.expect = EXPECT_HUGE(EVENT_PROTECTION_VMA, TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "thp_mprotect_part",
		.name = "mprotect of a part of a THP: split",
		.v4 = "-",
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = protect_part,
		.expect = EXPECT_HUGE(EVENT_CLEAR, TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "thp_fork",
		.name = "fork of a THP",
		.v4 = "-",
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = stage_fork,
		.expect = EXPECT_HUGE(EVENT_PROTECTION_PAGE, TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "thp_write_after_fork",
		.name = "write to a THP after fork: split",
		.v4 = "do_wp_page",
		.read_only = true,
		.prepare = huge_anon,
		.arrange = huge_fork,
		.perform = write_one,
		.expect = EXPECT_HUGE(EVENT_CLEAR, VMA_LOCK),
	},
	{
		.id = "thp_write_zero",
		.name = "write over the huge zero page",
		.v4 = "do_wp_page",
		.untouched = true,
		.read_only = true,
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = write_one,
		.expect = EXPECT_HUGE(EVENT_CLEAR, VMA_LOCK),
	},
	{}
};
