// SPDX-License-Identifier: GPL-2.0
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ksm.h"
#include "probe.h"
#include "stage.h"

#define KSM		"/sys/kernel/mm/ksm/"
#define PATIENCE_MSEC	10000

enum outcome ksm_prepare(struct scene *s)
{
	enum outcome outcome = stage_need(s, KSM "sleep_millisecs", "5");

	if (!outcome)
		outcome = stage_need(s, KSM "pages_to_scan", "1000");
	return outcome ? outcome : stage_anon(s);
}

enum outcome ksm_make_equal(struct scene *s)
{
	memcpy(scene_page(s, KSM_FIRST + 1), scene_page(s, KSM_FIRST), s->page);
	return SITE_PASS;
}

static bool are_merged(const struct scene *s)
{
	return probe_pfn(scene_page(s, KSM_FIRST)) ==
	       probe_pfn(scene_page(s, KSM_FIRST + 1));
}

enum outcome ksm_merge(struct scene *s)
{
	enum outcome outcome;

	if (!probe_pfn(s->addr))
		return scene_skip(s, "/proc/self/pagemap hides page frames");
	outcome = stage_madvise(s, MADV_MERGEABLE, "MADV_MERGEABLE");
	if (!outcome)
		outcome = stage_need(s, KSM "run", "1");
	for (int msec = 0; !outcome && !are_merged(s); msec++) {
		if (msec == PATIENCE_MSEC)
			return scene_fail(s, "KSM does not merge");
		usleep(1000);
	}
	return outcome;
}

enum outcome ksm_merge_equal(struct scene *s)
{
	ksm_make_equal(s);
	return ksm_merge(s);
}

void ksm_undo(struct scene *s)
{
	stage_write(KSM "run", "0");
}
