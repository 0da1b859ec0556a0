// SPDX-License-Identifier: GPL-2.0
/* The mapping itself goes, or another takes its place. */
#include <sys/mman.h>

#include "site.h"
#include "stage.h"

#define FIRST	2
#define NR	8

#define EXPECT_UNMAP(lock)					\
	{							\
		.rule = RULE_EXACT,				\
		.event = EVENT_UNMAP,				\
		.first = FIRST,					\
		.nr = NR,					\
		.one_of = (lock),				\
	}

static enum outcome unmap(struct scene *s)
{
	return munmap(scene_page(s, FIRST), NR * s->page) ?
	       scene_error(s, "munmap") : SITE_PASS;
}

static enum outcome map_over(struct scene *s)
{
	void *map = mmap(scene_page(s, FIRST), NR * s->page,
			 PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	return map == MAP_FAILED ? scene_error(s, "mmap") : SITE_PASS;
}

/* Let the pages show the beginning of the file */
static enum outcome remap(struct scene *s)
{
	return remap_file_pages(scene_page(s, FIRST), NR * s->page, 0, 0, 0) ?
	       scene_error(s, "remap_file_pages") : SITE_PASS;
}

const struct site unmap_sites[] = {
	{
		.id = "munmap_anon",
		.name = "munmap",
		.v4 = "unmap_vmas",
		.prepare = stage_anon,
		.perform = unmap,
		.expect = EXPECT_UNMAP(TMN_LOCK_MMAP_READ | TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "munmap_file",
		.name = "munmap of a file",
		.v4 = "unmap_vmas",
		.prepare = stage_ext4,
		.perform = unmap,
		.expect = EXPECT_UNMAP(TMN_LOCK_MMAP_READ | TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "map_fixed",
		.name = "mmap(MAP_FIXED) over it",
		.v4 = "unmap_vmas",
		.prepare = stage_anon,
		.perform = map_over,
		.expect = EXPECT_UNMAP(TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "remap_file_pages",
		.name = "remap_file_pages",
		.v4 = "sys_remap_file_pages",
		.prepare = stage_tmpfs,
		.perform = remap,
		.expect = EXPECT_UNMAP(TMN_LOCK_MMAP_WRITE),
	},
	{}
};
