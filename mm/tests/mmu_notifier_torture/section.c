// SPDX-License-Identifier: GPL-2.0
/*
 * Sections, young hooks and secondary TLB invalidations of the MMU notifier
 * torture test.
 *
 * The core relies on its callers: a section runs under mmap_lock or under a
 * lock of the reverse map. Here that is the mmap_lock of the mm, or the
 * i_mmap_rwsem of a file that every tortured mm maps. The latter covers
 * sections of several mms at once.
 */

#include <linux/delay.h>
#include <linux/mmap_lock.h>

#include "torture.h"

static void mntort_section_delay(struct mntort_thread *th, bool sleep)
{
	if (mntort_once_in(th, 2))
		return;
	if (sleep && mntort_once_in(th, 8))
		usleep_range(50, 1000);
	else
		udelay(mntort_random(th, 20));
}

static void mntort_random_range(struct mntort_thread *th, int *first, int *nr)
{
	*first = mntort_random(th, MNTORT_PAGES);
	*nr = 1 + mntort_random(th, MNTORT_PAGES - *first);
	if (mntort_once_in(th, 2))
		*nr = 1;
}

static int mntort_start(struct mntort_thread *th, struct mntort_section *sec)
{
	int ret = 0;

	th->cur = sec;
	if (sec->blockable) {
		mmu_notifier_invalidate_range_start(&sec->range);
	} else {
		non_block_start();
		ret = mmu_notifier_invalidate_range_start_nonblock(&sec->range);
		non_block_end();
	}
	th->cur = NULL;
	return ret;
}

static void mntort_end(struct mntort_thread *th, struct mntort_section *sec)
{
	th->cur = sec;
	if (!sec->blockable)
		non_block_start();
	mmu_notifier_invalidate_range_end(&sec->range);
	if (!sec->blockable)
		non_block_end();
	th->cur = NULL;
}

/* The section owns its pages now: tear them down. */
static void mntort_teardown(struct mntort_mm *m, int first, int nr)
{
	int i;

	for (i = first; i < first + nr; i++) {
		atomic_inc(&m->open[i]);
		atomic_long_inc(&m->gen[i]);
	}
}

static void mntort_teardown_done(struct mntort_mm *m, int first, int nr)
{
	int i;

	for (i = first; i < first + nr; i++)
		atomic_dec(&m->open[i]);
}

static void mntort_section(struct mntort_thread *th, struct mntort_mm *m,
			   bool rmap);

/* A section inside the open one; the rmap lock covers the other mms too. */
static void mntort_nested(struct mntort_thread *th, struct mntort_mm *m,
			  bool rmap)
{
	struct mntort_mm *other;

	if (th->depth == MNTORT_NEST || !mntort_once_in(th, 4))
		return;
	mntort_count(nested);
	if (!rmap) {
		mntort_section(th, m, rmap);
		return;
	}
	other = mntort_mm_get(mntort_random_slot(th), false);
	mntort_section(th, other, rmap);
	mntort_mm_put(other);
}

static void mntort_section(struct mntort_thread *th, struct mntort_mm *m,
			   bool rmap)
{
	static const enum mmu_notifier_event events[] = {
		MMU_NOTIFY_UNMAP, MMU_NOTIFY_CLEAR,
		MMU_NOTIFY_PROTECTION_VMA, MMU_NOTIFY_PROTECTION_PAGE,
		MMU_NOTIFY_SOFT_DIRTY,
	};
	struct mntort_section *sec = &th->sec[th->depth];
	int first, nr, ret;

	mntort_random_range(th, &first, &nr);
	mntort_section_init(sec, MNTORT_SECTION, m, mntort_addr(first),
			    mntort_addr(first + nr));
	sec->blockable = !mntort_once_in(th, 4);
	sec->event = sec->blockable ?
		     events[mntort_random(th, ARRAY_SIZE(events))] :
		     MMU_NOTIFY_CLEAR;
	mmu_notifier_range_init(&sec->range, sec->event,
				sec->blockable ? MMU_NOTIFIER_RANGE_BLOCKABLE : 0,
				m->mm, sec->start, sec->end);
	th->depth++;
	mntort_count(sections);
	if (sec->late)
		mntort_count(late);
	if (!sec->blockable)
		mntort_count(nonblock);

	ret = mntort_start(th, sec);
	mntort_section_started(sec, ret);
	if (ret) {
		mntort_count(refusals);
		goto out;
	}
	mntort_teardown(m, first, nr);
	mntort_section_delay(th, true);
	mntort_nested(th, m, rmap);
	mntort_section_check_open(sec);
	mntort_teardown_done(m, first, nr);

	mntort_section_set(sec, MNTORT_ENDING);
	mntort_end(th, sec);
	mntort_section_ended(sec);
out:
	th->depth--;
}

static bool mntort_young(struct mntort_section *sec)
{
	struct mm_struct *mm = sec->m->mm;

	switch (sec->what) {
	case MNTORT_CLEAR_FLUSH_YOUNG:
		return mmu_notifier_clear_flush_young(mm, sec->start, sec->end);
	case MNTORT_CLEAR_YOUNG:
		return mmu_notifier_clear_young(mm, sec->start, sec->end);
	case MNTORT_TEST_YOUNG:
		return mmu_notifier_test_young(mm, sec->start);
	default:
		mmu_notifier_arch_invalidate_secondary_tlbs(mm, sec->start,
							    sec->end);
		return false;
	}
}

/* The hooks that are called under a page table lock. */
static void mntort_hook(struct mntort_thread *th, struct mntort_mm *m)
{
	static const enum mntort_what hooks[] = {
		MNTORT_CLEAR_FLUSH_YOUNG, MNTORT_CLEAR_YOUNG,
		MNTORT_TEST_YOUNG, MNTORT_AIST,
	};
	struct mntort_section *sec = &th->sec[th->depth];
	enum mntort_what what = hooks[mntort_random(th, ARRAY_SIZE(hooks))];
	int first, nr;
	bool young;

	mntort_random_range(th, &first, &nr);
	if (what == MNTORT_TEST_YOUNG)
		nr = 1;
	mntort_section_init(sec, what, m, mntort_addr(first),
			    mntort_addr(first + nr));
	if (what == MNTORT_AIST)
		mntort_count(aists);
	else
		mntort_count(young);

	th->depth++;
	spin_lock(&m->slot->ptl);
	th->cur = sec;
	young = mntort_young(sec);
	th->cur = NULL;
	spin_unlock(&m->slot->ptl);
	mntort_hook_ended(sec, young);
	th->depth--;
}

/**
 * mntort_section_step - one section, possibly with others inside, or a hook
 * @th: thread
 */
void mntort_section_step(struct mntort_thread *th)
{
	struct mntort_slot *exits = READ_ONCE(mntort_exit_slot);
	struct mntort_slot *slot = exits ?: mntort_random_slot(th);
	struct mntort_mm *m =
		mntort_mm_get(slot, mntort_once_in(th, exits ? 2 : 16));
	bool rmap = mntort_once_in(th, 2);

	mntort_doing(th, "section", slot->index);
	if (rmap)
		mntort_rmap_lock();
	else
		mmap_read_lock(m->mm);
	if (mntort_once_in(th, 4))
		mntort_hook(th, m);
	else
		mntort_section(th, m, rmap);
	if (rmap)
		mntort_rmap_unlock();
	else
		mmap_read_unlock(m->mm);
	mntort_mm_put(m);
}
