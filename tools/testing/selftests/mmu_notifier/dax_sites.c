// SPDX-License-Identifier: GPL-2.0
/* The page is memory of a file system, without a page cache. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "huge.h"
#include "probe.h"
#include "site.h"
#include "stage.h"

#define FIRST	4
#define NR	6

#define EXPECT_ZAP(pages)					\
	{							\
		.rule = RULE_EXACT,				\
		.event = EVENT_CLEAR,				\
		.first = FIRST,					\
		.nr = (pages),					\
		.locks = TMN_LOCK_I_MMAP_READ,			\
	}

static enum outcome sync_pages(struct scene *s)
{
	return msync(s->addr, s->size, MS_SYNC) ?
	       scene_error(s, "msync") : SITE_PASS;
}

static enum outcome shrink(struct scene *s)
{
	return ftruncate(s->file, FIRST * s->page) ?
	       scene_error(s, "ftruncate") : SITE_PASS;
}

static enum outcome punch(struct scene *s)
{
	return fallocate(s->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 FIRST * s->page, NR * s->page) ?
	       scene_error(s, "fallocate") : SITE_PASS;
}

static enum outcome unmap(struct scene *s)
{
	return munmap(scene_page(s, FIRST), NR * s->page) ?
	       scene_error(s, "munmap") : SITE_PASS;
}

static enum outcome write_one(struct scene *s)
{
	return probe_write(scene_page(s, FIRST), "x", 1) ?
	       scene_error(s, "write") : SITE_PASS;
}

const struct site dax_sites[] = {
	{
		.id = "dax_msync",
		.name = "msync of a DAX file",
		.v4 = "filemap_xip.c",
		.prepare = stage_dax,
		.perform = sync_pages,
		.expect = {
			.rule = RULE_COVER,
			.event = EVENT_PROTECTION_PAGE,
			.nr = PAGES,
			.locks = TMN_LOCK_I_MMAP_READ,
		},
	},
	{
		.id = "dax_truncate",
		.name = "truncate a DAX file",
		.v4 = "filemap_xip.c",
		.prepare = stage_dax,
		.perform = shrink,
		.expect = EXPECT_ZAP(PAGES - FIRST),
	},
	{
		.id = "dax_punch",
		.name = "fallocate(PUNCH_HOLE) of a DAX file",
		.v4 = "filemap_xip.c",
		.prepare = stage_dax,
		.perform = punch,
		.expect = EXPECT_ZAP(NR),
	},
	{
		.id = "dax_munmap",
		.name = "munmap of a DAX file",
		.v4 = "unmap_vmas",
		.prepare = stage_dax,
		.perform = unmap,
		.expect = {
			.rule = RULE_EXACT,
			.event = EVENT_UNMAP,
			.first = FIRST,
			.nr = NR,
			.one_of = TMN_LOCK_MMAP_READ | TMN_LOCK_MMAP_WRITE,
		},
	},
	{
		.id = "dax_write_private",
		.name = "write to a private DAX page",
		.v4 = "do_wp_page",
		.untouched = true,
		.read_only = true,
		.prepare = stage_dax_private,
		.perform = write_one,
		.expect = {
			.rule = RULE_EXACT,
			.event = EVENT_CLEAR,
			.first = FIRST,
			.nr = 1,
			.one_of = TMN_LOCK_MMAP_READ | TMN_LOCK_VMA,
		},
	},
	{}
};

/*
 * The file system may have a huge page for this too
 */

static enum outcome huge_sync(struct scene *s)
{
	return msync(s->huge, s->huge_size, MS_SYNC) ?
	       scene_error(s, "msync") : SITE_PASS;
}

const struct site dax_huge_sites[] = {
	{
		.id = "dax_huge_msync",
		.name = "msync of a huge DAX page",
		.v4 = "filemap_xip.c",
		.prepare = huge_dax,
		.arrange = huge_is_mapped,
		.perform = huge_sync,
		.expect = EXPECT_HUGE(EVENT_PROTECTION_PAGE,
				      TMN_LOCK_I_MMAP_READ),
	},
	{
		.id = "dax_huge_truncate",
		.name = "truncate a huge DAX page",
		.v4 = "filemap_xip.c",
		.prepare = huge_dax,
		.arrange = huge_is_mapped,
		.perform = huge_truncate,
		.expect = EXPECT_HUGE(EVENT_CLEAR, TMN_LOCK_I_MMAP_READ),
	},
	{
		.id = "dax_huge_munmap",
		.name = "munmap of a huge DAX page",
		.v4 = "unmap_vmas",
		.prepare = huge_dax,
		.arrange = huge_is_mapped,
		.perform = huge_unmap,
		.expect = EXPECT_HUGE(EVENT_UNMAP, TMN_LOCK_MMAP_READ |
						   TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "dax_huge_munmap_part",
		.name = "munmap of a part of a huge DAX page: split",
		.v4 = "-",
		.prepare = huge_dax,
		.arrange = huge_is_mapped,
		.perform = huge_unmap_part,
		.expect = EXPECT_HUGE(EVENT_CLEAR, TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "dax_huge_mprotect",
		.name = "mprotect of a huge DAX page",
		.v4 = "-",
		.prepare = huge_dax,
		.arrange = huge_is_mapped,
		.perform = huge_protect,
		.expect = EXPECT_HUGE(EVENT_PROTECTION_VMA, TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "dax_huge_write_private",
		.name = "write to a private huge DAX page: split",
		.v4 = "do_wp_page",
		.untouched = true,
		.read_only = true,
		.prepare = huge_dax_private,
		.arrange = huge_is_mapped,
		.perform = write_one,
		.expect = EXPECT_HUGE(EVENT_CLEAR, TMN_LOCK_MMAP_READ |
						   TMN_LOCK_VMA),
	},
	{}
};
