// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "huge.h"
#include "stage.h"

#define THP	"/sys/kernel/mm/transparent_hugepage/"

static enum outcome map_huge(struct scene *s, int flags, int advice)
{
	if (s->file < 0)
		flags |= MAP_ANONYMOUS;
	if (mmap(s->huge, s->huge_size, PROT_READ | PROT_WRITE,
		 flags | MAP_FIXED, s->file, 0) == MAP_FAILED)
		return scene_error(s, "mmap");
	if (madvise(s->huge, s->huge_size, advice))
		return scene_skip(s, "no transparent huge pages: %s",
				  strerror(errno));
	return SITE_PASS;
}

/* A huge page is as large as the scene thinks */
static enum outcome need_thp(struct scene *s)
{
	FILE *file = fopen(THP "hpage_pmd_size", "re");
	size_t size = 0;

	if (!file)
		return scene_skip(s, "no transparent huge pages");
	if (fscanf(file, "%zu", &size) != 1)
		size = 0;
	fclose(file);
	return size == s->huge_size ? SITE_PASS :
	       scene_skip(s, "huge pages of %zu bytes", size);
}

enum outcome huge_anon(struct scene *s)
{
	enum outcome outcome = need_thp(s);

	return outcome ? outcome : map_huge(s, MAP_PRIVATE, MADV_HUGEPAGE);
}

enum outcome huge_anon_small(struct scene *s)
{
	enum outcome outcome = need_thp(s);

	return outcome ? outcome : map_huge(s, MAP_PRIVATE, MADV_NOHUGEPAGE);
}

enum outcome huge_tmpfs_small(struct scene *s)
{
	enum outcome outcome = need_thp(s);

	if (outcome)
		return outcome;
	s->file = memfd_create("mmu_notifier", MFD_CLOEXEC);
	if (s->file < 0 || ftruncate(s->file, s->huge_size))
		return scene_skip(s, "memfd: %s", strerror(errno));
	return map_huge(s, MAP_SHARED, MADV_NOHUGEPAGE);
}

/* With pages enough to copy one, or to have one on either node */
static enum outcome map_hugetlb(struct scene *s, int flags)
{
	enum outcome outcome = stage_need(s, "/proc/sys/vm/nr_hugepages", "8");

	if (outcome)
		return outcome;
	s->file = memfd_create("mmu_notifier", MFD_CLOEXEC | MFD_HUGETLB);
	if (s->file < 0 || ftruncate(s->file, s->huge_size))
		return scene_skip(s, "hugetlb: %s", strerror(errno));
	if (mmap(s->huge, s->huge_size, PROT_READ | PROT_WRITE,
		 flags | MAP_FIXED, s->file, 0) == MAP_FAILED)
		return scene_skip(s, "mmap of hugetlb: %s", strerror(errno));
	return SITE_PASS;
}

enum outcome hugetlb_private(struct scene *s)
{
	return map_hugetlb(s, MAP_PRIVATE);
}

enum outcome hugetlb_shared(struct scene *s)
{
	return map_hugetlb(s, MAP_SHARED | MAP_NORESERVE);
}

/*
 * The blocks of the file are allocated at once. A file system with stripes of
 * that size aligns them, "mkfs.ext4 -E stride=512,stripe_width=512".
 */
enum outcome huge_dax(struct scene *s)
{
	enum outcome outcome = need_thp(s);

	if (!outcome)
		outcome = stage_open_dax(s);
	if (outcome)
		return outcome;
	if (fallocate(s->file, 0, 0, s->huge_size))
		return scene_error(s, "fallocate");
	return map_huge(s, MAP_SHARED, MADV_HUGEPAGE);
}

/* Of data, as holes and what is not written to show the zero page */
enum outcome huge_dax_private(struct scene *s)
{
	enum outcome outcome = huge_dax(s);

	if (outcome)
		return outcome;
	memset(s->huge, 1, s->huge_size);
	return map_huge(s, MAP_PRIVATE, MADV_HUGEPAGE);
}

/* Returns how many of the mirrored pages lie in a huge one, -1 if not known */
static long pages_in_huge(struct scene *s)
{
	struct page_region region = {};
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.start = (uintptr_t)s->addr,
		.end = (uintptr_t)s->addr + s->size,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_mask = PAGE_IS_HUGE,
		.return_mask = PAGE_IS_HUGE,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int regions = fd < 0 ? -1 : ioctl(fd, PAGEMAP_SCAN, &scan);

	if (fd >= 0)
		close(fd);
	if (regions < 0)
		return -1;
	return (region.end - region.start) / s->page;
}

enum outcome huge_is_mapped(struct scene *s)
{
	long pages = pages_in_huge(s);

	return pages == PAGES ? SITE_PASS :
	       scene_skip(s, "%ld pages are in a huge one", pages);
}

enum outcome huge_is_not_mapped(struct scene *s)
{
	long pages = pages_in_huge(s);

	return pages == 0 ? SITE_PASS :
	       scene_skip(s, "%ld pages are in a huge one", pages);
}

enum outcome huge_fork(struct scene *s)
{
	enum outcome outcome = huge_is_mapped(s);

	return outcome ? outcome : stage_fork(s);
}

enum outcome huge_unmap(struct scene *s)
{
	return munmap(s->huge, s->huge_size) ? scene_error(s, "munmap") :
					       SITE_PASS;
}

enum outcome huge_unmap_part(struct scene *s)
{
	return munmap(s->addr, s->size / 2) ? scene_error(s, "munmap") :
					      SITE_PASS;
}

enum outcome huge_dontneed(struct scene *s)
{
	return madvise(s->huge, s->huge_size, MADV_DONTNEED) ?
	       scene_error(s, "MADV_DONTNEED") : SITE_PASS;
}

enum outcome huge_protect(struct scene *s)
{
	return mprotect(s->huge, s->huge_size, PROT_READ) ?
	       scene_error(s, "mprotect") : SITE_PASS;
}

enum outcome huge_truncate(struct scene *s)
{
	return ftruncate(s->file, 0) ? scene_error(s, "ftruncate") : SITE_PASS;
}
