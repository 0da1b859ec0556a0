// SPDX-License-Identifier: GPL-2.0
/*
 * Compaction moves pages from the start of a zone to its end. To make certain
 * that it moves the mirrored ones, take them from below many pages of the same
 * zone and free all others.
 *
 * These are pages of a file, as compaction does not even try anonymous pages
 * that a device holds a reference to. The page cache goes before: compaction
 * leaves a zone as soon as it finds no room for a large folio.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe.h"
#include "site.h"
#include "stage.h"

#define WINDOWS	512	/* of PAGES pages each */
#define ATTEMPTS 5

/* The highest page frame of PAGES pages; ULONG_MAX if one is not known */
static unsigned long highest_pfn(const char *from, size_t page)
{
	unsigned long highest = 0;

	for (unsigned int i = 0; i < PAGES; i++) {
		unsigned long pfn = probe_pfn(from + i * page);

		if (!pfn)
			return ~0UL;
		if (pfn > highest)
			highest = pfn;
	}
	return highest;
}

/* How many windows lie close above @pfn, so that they are of the same zone */
static unsigned int above(const unsigned long *pfns, unsigned long pfn)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < WINDOWS; i++)
		nr += pfns[i] > pfn && pfns[i] - pfn < 2 * WINDOWS * PAGES;
	return nr;
}

/* The window with the most of the others above it; WINDOWS if there is none */
static unsigned int low_window(const struct scene *s, const char *all)
{
	unsigned int found = WINDOWS, most = 0;
	unsigned long pfns[WINDOWS];

	for (unsigned int i = 0; i < WINDOWS; i++)
		pfns[i] = highest_pfn(all + i * s->size, s->page);
	for (unsigned int i = 0; i < WINDOWS; i++) {
		unsigned int nr = above(pfns, pfns[i]);

		if (nr > most) {
			most = nr;
			found = i;
		}
	}
	return found;
}

static int free_others(const struct scene *s, unsigned int window)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	off_t kept = window * s->size, behind = kept + s->size;

	if (kept && fallocate(s->file, mode, 0, kept))
		return -1;
	if (window == WINDOWS - 1)
		return 0;
	return fallocate(s->file, mode, behind, WINDOWS * s->size - behind);
}

static enum outcome prepare(struct scene *s)
{
	size_t len = WINDOWS * s->size;
	unsigned int window;
	void *map;
	char *all;

	if (access("/proc/sys/vm/compact_memory", W_OK))
		return scene_skip(s, "no compaction: %s", strerror(errno));
	stage_write("/proc/sys/vm/drop_caches", "1");
	s->file = memfd_create("mmu_notifier", MFD_CLOEXEC);
	if (s->file < 0 || ftruncate(s->file, len))
		return scene_skip(s, "memfd: %s", strerror(errno));
	all = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		   s->file, 0);
	if (all == MAP_FAILED)
		return scene_error(s, "mmap");
	window = low_window(s, all);
	munmap(all, len);
	if (window == WINDOWS)
		return scene_skip(s, "/proc/self/pagemap hides page frames");
	if (free_others(s, window))
		return scene_error(s, "fallocate");

	map = mmap(s->addr, s->size, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_FIXED, s->file, window * s->size);
	return map == MAP_FAILED ? scene_error(s, "mmap") : SITE_PASS;
}

static void get_pfns(const struct scene *s, unsigned long pfns[PAGES])
{
	for (unsigned int i = 0; i < PAGES; i++) {
		char c;

		/* A migration entry becomes a page when it is waited for */
		probe_read(scene_page(s, i), &c, 1);
		pfns[i] = probe_pfn(scene_page(s, i));
	}
}

static enum outcome perform(struct scene *s)
{
	unsigned long from[PAGES], to[PAGES];

	get_pfns(s, from);
	for (unsigned int i = 0; !s->moved && i < ATTEMPTS; i++) {
		enum outcome outcome =
			stage_need(s, "/proc/sys/vm/compact_memory", "1");

		if (outcome)
			return outcome;
		get_pfns(s, to);
		for (unsigned int page = 0; page < PAGES; page++) {
			if (to[page] != from[page])
				s->moved |= 1u << page;
		}
	}
	return s->moved ? SITE_PASS : scene_fail(s, "no page moved");
}

const struct site compaction_sites[] = {
	{
		.id = "compaction",
		.name = "compaction",
		.v4 = "try_to_unmap",
		.prepare = prepare,
		.perform = perform,
		.expect = {
			.rule = RULE_COVER,
			.event = EVENT_CLEAR,
			.locks = TMN_LOCK_I_MMAP_READ,
		},
	},
	{}
};
