// SPDX-License-Identifier: GPL-2.0
/* The pages of hugetlbfs have ways of their own for almost everything. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "huge.h"
#include "node.h"
#include "probe.h"
#include "site.h"
#include "stage.h"

#define WRITTEN	5	/* the page that is written to */

#define MMAP_LOCK	(TMN_LOCK_MMAP_READ | TMN_LOCK_MMAP_WRITE)
#define VMA_LOCK	(TMN_LOCK_MMAP_READ | TMN_LOCK_VMA)

static enum outcome punch(struct scene *s)
{
	return fallocate(s->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 0, s->huge_size) ?
	       scene_error(s, "fallocate") : SITE_PASS;
}

static enum outcome write_one(struct scene *s)
{
	return probe_write(scene_page(s, WRITTEN), "x", 1) ?
	       scene_error(s, "write") : SITE_PASS;
}

static enum outcome move(struct scene *s)
{
	void *map = mremap(s->huge, s->huge_size, s->huge_size,
			   MREMAP_MAYMOVE | MREMAP_FIXED, s->huge_spare);

	return map == s->huge_spare ? SITE_PASS : scene_error(s, "mremap");
}

static enum outcome move_to_node(struct scene *s)
{
	return node_move_pages(s, 1);
}

/*
 * Mappings of the same part of a file share a page table of huge pages, if both
 * cover all that it can map. Let that be the huge page of the scene: it is not
 * one, but a section that ends the sharing is as large.
 */
static enum outcome prepare_sharing(struct scene *s)
{
	size_t reach = s->huge_size * (s->page / sizeof(uint64_t));
	char *old = s->arena;
	size_t old_size = s->arena_size;
	uintptr_t start;

	s->arena_size = 4 * reach;
	s->arena = mmap(NULL, s->arena_size, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	munmap(old, old_size);
	if (s->arena == MAP_FAILED)
		return scene_error(s, "mmap");
	start = (uintptr_t)s->arena + reach;
	s->huge = (char *)(start - start % reach);
	s->huge_spare = s->huge + 2 * reach;
	s->huge_size = reach;
	s->addr = s->huge;
	s->spare = s->huge_spare;
	return hugetlb_shared(s);
}

/* Let a second mapping share, which shows the first one what it maps */
static enum outcome arrange_sharing(struct scene *s)
{
	size_t offset = s->huge_size / 2;
	void *map = mmap(s->huge_spare, s->huge_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_NORESERVE, s->file, 0);

	if (map == MAP_FAILED)
		return scene_error(s, "mmap");
	if (probe_write(s->huge_spare + offset, "x", 1))
		return scene_fail(s, "no second huge page");
	if (!probe_pfn(s->huge + offset))
		return scene_skip(s, "page tables are not shared");
	return huge_is_mapped(s);
}

/* When a mapping is split, neither part is large enough to share */
static enum outcome end_sharing(struct scene *s)
{
	size_t offset = s->huge_size / 2;

	if (mprotect(s->huge + offset, s->huge_size - offset, PROT_READ))
		return scene_error(s, "mprotect");
	return probe_pfn(s->addr) ? scene_fail(s, "still shared") : SITE_PASS;
}

const struct site hugetlb_sites[] = {
	{
		.id = "hugetlb_munmap",
		.name = "munmap of hugetlb",
		.v4 = "unmap_vmas",
		.prepare = hugetlb_shared,
		.arrange = huge_is_mapped,
		.perform = huge_unmap,
		.expect = EXPECT_HUGE(EVENT_UNMAP, MMAP_LOCK),
	},
	{
		.id = "hugetlb_dontneed",
		.name = "MADV_DONTNEED of hugetlb",
		.v4 = "zap_page_range",
		.prepare = hugetlb_private,
		.arrange = huge_is_mapped,
		.perform = huge_dontneed,
		.expect = EXPECT_HUGE(EVENT_CLEAR, VMA_LOCK),
	},
	{
		.id = "hugetlb_truncate",
		.name = "truncate hugetlb",
		.v4 = "zap_page_range",
		.prepare = hugetlb_shared,
		.arrange = huge_is_mapped,
		.perform = huge_truncate,
		.expect = EXPECT_HUGE(EVENT_CLEAR, TMN_LOCK_I_MMAP_WRITE),
	},
	{
		.id = "hugetlb_punch",
		.name = "fallocate(PUNCH_HOLE) of hugetlb",
		.v4 = "zap_page_range",
		.prepare = hugetlb_shared,
		.arrange = huge_is_mapped,
		.perform = punch,
		.expect = EXPECT_HUGE(EVENT_CLEAR, TMN_LOCK_I_MMAP_WRITE),
	},
	{
		.id = "hugetlb_fork",
		.name = "fork of hugetlb",
		.v4 = "-",
		.prepare = hugetlb_private,
		.arrange = huge_is_mapped,
		.perform = stage_fork,
		.expect = EXPECT_HUGE(EVENT_CLEAR, TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "hugetlb_write_after_fork",
		.name = "write to hugetlb after fork",
		.v4 = "do_wp_page",
		.read_only = true,
		.prepare = hugetlb_private,
		.arrange = huge_fork,
		.perform = write_one,
		.expect = EXPECT_HUGE(EVENT_CLEAR, VMA_LOCK),
	},
	{
		.id = "hugetlb_mprotect",
		.name = "mprotect of hugetlb",
		.v4 = "-",
		.prepare = hugetlb_shared,
		.arrange = huge_is_mapped,
		.perform = huge_protect,
		.expect = EXPECT_HUGE(EVENT_PROTECTION_VMA, TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "hugetlb_mremap",
		.name = "mremap of hugetlb",
		.v4 = "-",
		.prepare = hugetlb_shared,
		.arrange = huge_is_mapped,
		.perform = move,
		.expect = EXPECT_HUGE(EVENT_CLEAR, TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "hugetlb_move_pages",
		.name = "move_pages of hugetlb",
		.v4 = "-",
		.prepare = hugetlb_shared,
		.arrange = huge_is_mapped,
		.perform = move_to_node,
		.expect = EXPECT_HUGE(EVENT_CLEAR, TMN_LOCK_I_MMAP_WRITE),
	},
	{
		.id = "hugetlb_unshare",
		.name = "hugetlb ends page table sharing",
		.v4 = "-",
		.prepare = prepare_sharing,
		.arrange = arrange_sharing,
		.perform = end_sharing,
		.expect = EXPECT_HUGE(EVENT_CLEAR, TMN_LOCK_I_MMAP_WRITE),
	},
	{}
};
