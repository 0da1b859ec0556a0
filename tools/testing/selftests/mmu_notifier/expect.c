// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "expect.h"

static const char * const event_names[] = {
	[EVENT_UNMAP] = "UNMAP",
	[EVENT_CLEAR] = "CLEAR",
	[EVENT_PROTECTION_VMA] = "PROT_VMA",
	[EVENT_PROTECTION_PAGE] = "PROT_PAGE",
	[EVENT_SOFT_DIRTY] = "SOFT_DIRTY",
	[EVENT_RELEASE] = "RELEASE",
	[EVENT_MIGRATE] = "MIGRATE",
	[EVENT_EXCLUSIVE] = "EXCLUSIVE",
};

static const char * const callback_names[] = {
	[TMN_RELEASE] = "release",
	[TMN_RANGE_START] = "start/end",
	[TMN_INVALIDATE] = "invalidate",
	[TMN_CLEAR_FLUSH_YOUNG] = "clear_flush_young",
	[TMN_CLEAR_YOUNG] = "clear_young",
	[TMN_TEST_YOUNG] = "test_young",
};

static uint64_t page_start(const struct scene *s, unsigned int page)
{
	return (uintptr_t)scene_page(s, page);
}

/* The mirrored pages that @record contains, as a bitmap */
static unsigned int pages_of(const struct scene *s,
			     const struct tmn_record *record)
{
	unsigned int pages = 0;

	for (unsigned int i = 0; i < PAGES; i++) {
		if (record->start <= page_start(s, i) &&
		    record->end >= page_start(s, i + 1))
			pages |= 1u << i;
	}
	return pages;
}

static unsigned int pages_expected(const struct scene *s,
				   const struct expect *expect)
{
	if (!expect->nr)
		return s->moved;
	return (ALL_PAGES >> (PAGES - expect->nr)) << expect->first;
}

/*
 * Does the device drop the ptes in the range when it gets this? Of a flush of
 * secondary TLBs it does too, but some architectures flush for any reason.
 */
static bool takes_access(const struct tmn_record *record)
{
	switch (record->callback) {
	case TMN_RELEASE:
	case TMN_RANGE_START:
	case TMN_INVALIDATE:
		return !(record->flags & TMN_REFUSED);
	default:
		return false;
	}
}

static bool is_expected(const struct scene *s, const struct expect *expect,
			const struct tmn_record *record)
{
	bool teardown = record->callback == s->manner->teardown &&
			record->event == expect->event;

	switch (expect->rule) {
	case RULE_EXACT:
		return teardown &&
		       record->start == page_start(s, expect->first) &&
		       record->end == page_start(s, expect->first + expect->nr);
	case RULE_EACH:
		return teardown && record->end - record->start == s->page &&
		       (pages_of(s, record) & pages_expected(s, expect));
	case RULE_HUGE:
		return teardown && record->start == (uintptr_t)s->huge &&
		       record->end == (uintptr_t)s->huge + s->huge_size;
	case RULE_COVER:
		return teardown &&
		       (pages_of(s, record) & pages_expected(s, expect));
	case RULE_RELEASE:
		return s->manner->ends ? record->callback == TMN_RELEASE :
					 teardown;
	case RULE_AGE:
		return record->callback == expect->age;
	case RULE_SILENT:
		break;
	}
	return false;
}

/* lockdep told the device which locks are held, if there is lockdep */
static enum outcome judge_locks(struct scene *s, const struct expect *expect,
				const struct tmn_record *record)
{
	if (access("/proc/lockdep", F_OK))
		return SITE_PASS;
	if (expect->locks & ~record->locks ||
	    (expect->one_of && !(expect->one_of & record->locks)))
		return scene_fail(s, "locks held %#x, expected %#x, one of %#x",
				  record->locks, expect->locks, expect->one_of);
	return SITE_PASS;
}

static enum outcome judge_context(struct scene *s, const struct expect *expect,
				  const struct tmn_record *record)
{
	bool blockable = record->flags & TMN_BLOCKABLE;

	if (expect->rule == RULE_AGE || record->callback == TMN_RELEASE)
		return SITE_PASS;
	if (blockable == expect->nonblock)
		return scene_fail(s, "%s section: %#x", blockable ?
				  "blockable" : "non-blocking", record->flags);
	return SITE_PASS;
}

/* Every start that was not refused has one end behind it, and only they */
static enum outcome judge_pairs(struct scene *s, const struct log *log)
{
	bool ended[LOG_RECORDS] = {};

	for (unsigned int i = 0; i < log->nr; i++) {
		const struct tmn_record *end = &log->records[i];
		unsigned int j;

		if (end->callback != TMN_RANGE_END)
			continue;
		for (j = 0; j < i; j++) {
			const struct tmn_record *start = &log->records[j];

			if (start->callback == TMN_RANGE_START && !ended[j] &&
			    !(start->flags & TMN_REFUSED) &&
			    start->start == end->start &&
			    start->end == end->end)
				break;
		}
		if (j == i)
			return scene_fail(s, "end without start");
		ended[j] = true;
	}
	for (unsigned int i = 0; i < log->nr; i++) {
		if (log->records[i].callback == TMN_RANGE_START &&
		    !(log->records[i].flags & TMN_REFUSED) && !ended[i])
			return scene_fail(s, "start without end");
	}
	return SITE_PASS;
}

static void describe(const struct scene *s, const struct expect *expect,
		     const struct tmn_record *first, unsigned int nr,
		     uint64_t start, uint64_t end, struct heard *heard)
{
	const char *name = callback_names[first->callback];
	char times[16] = "";

	if (nr > 1)
		snprintf(times, sizeof(times), " x%u", nr);
	if (expect->rule == RULE_AGE || first->callback == TMN_RELEASE)
		snprintf(heard->callbacks, sizeof(heard->callbacks), "%s%s",
			 name, times);
	else
		snprintf(heard->callbacks, sizeof(heard->callbacks), "%s %s%s",
			 name, event_names[expect->event], times);

	if (expect->rule == RULE_RELEASE)
		snprintf(heard->range, sizeof(heard->range), "whole mm");
	else if (start < page_start(s, 0))
		snprintf(heard->range, sizeof(heard->range), "from outside");
	else
		snprintf(heard->range, sizeof(heard->range), "+0x%lx %lu page%s",
			 (unsigned long)(start - page_start(s, 0)),
			 (unsigned long)((end - start) / s->page),
			 end - start == s->page ? "" : "s");
}

/* All pages that are concerned were announced, in the right circumstances */
static enum outcome judge_announced(struct scene *s,
				    const struct expect *expect,
				    const struct log *log, struct heard *heard)
{
	const struct tmn_record *first = NULL;
	unsigned int missing = pages_expected(s, expect), nr = 0;
	uint64_t start = UINT64_MAX, end = 0;

	for (unsigned int i = 0; i < log->nr; i++) {
		const struct tmn_record *record = &log->records[i];

		if (!is_expected(s, expect, record))
			continue;
		if (judge_locks(s, expect, record) ||
		    judge_context(s, expect, record))
			return SITE_FAIL;
		if (record->flags & TMN_REFUSED)
			s->refused = true;
		if (record->start < start)
			start = record->start;
		if (record->end > end)
			end = record->end;
		missing &= ~pages_of(s, record);
		if (!first)
			first = record;
		nr++;
	}
	if (!first)
		return scene_fail(s, "not announced");
	describe(s, expect, first, nr, start, end, heard);
	if (missing && expect->rule != RULE_RELEASE)
		return scene_fail(s, "pages %#x not announced", missing);
	heard->announced = true;
	return SITE_PASS;
}

/* The device has lost the ptes that it was told to drop, and no other */
static enum outcome judge_ptes(struct scene *s, const struct expect *expect,
			       const struct log *log,
			       const struct tmn_check *after)
{
	unsigned int dropped = 0, flushed = 0, left;

	for (unsigned int i = 0; i < log->nr; i++) {
		const struct tmn_record *record = &log->records[i];

		if (record->callback == TMN_RELEASE)
			dropped = ALL_PAGES;
		else if (record->callback == TMN_SECONDARY_TLBS)
			flushed |= pages_of(s, record);
		else if (takes_access(record))
			dropped |= pages_of(s, record);
	}
	left = PAGES - __builtin_popcount(dropped | flushed);
	if (after->ptes != left)
		return scene_fail(s, "%u device ptes left of %u",
				  after->ptes, left);
	if (dropped && (expect->rule == RULE_SILENT || expect->keeps))
		return scene_fail(s, "access taken from pages %#x", dropped);
	return SITE_PASS;
}

enum outcome expect_judge(struct scene *s, const struct expect *expect,
			  const struct log *log,
			  const struct tmn_check *before,
			  const struct tmn_check *after,
			  struct heard *heard)
{
	bool due = expect->rule != RULE_SILENT &&
		   (expect->rule != RULE_AGE || s->manner->ages);

	if (log->lost)
		return scene_fail(s, "%u records lost", log->lost);
	if (before->ptes != PAGES || before->stale)
		return scene_fail(s, "%u device ptes before, %u stale",
				  before->ptes, before->stale);
	if (due && judge_announced(s, expect, log, heard))
		return SITE_FAIL;
	if (s->refused && !expect->nonblock)
		return scene_fail(s, "refused");
	if (after->stale)
		return scene_fail(s, "%u stale device ptes, page %ld: %s",
				  after->stale,
				  (long)(after->addr - page_start(s, 0)) /
				  (long)s->page,
				  device_stale_reason(after->reason));
	if (judge_pairs(s, log))
		return SITE_FAIL;
	return judge_ptes(s, expect, log, after);
}
