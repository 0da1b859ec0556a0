// SPDX-License-Identifier: GPL-2.0
/*
 * The oracle of the MMU notifier torture test.
 *
 * Before the core is called for a section, the oracle notes which subscribers
 * are live; callbacks note what they heard. A subscriber that is still live,
 * in the same registration, after the core has returned was live all the time,
 * so exactly one call was owed to it. For the others a call is allowed but
 * not owed. No assumption is made on who wins a race.
 *
 * The life of a whole-mm subscriber ends with its ->release, which has dropped
 * what the subscriber had mapped, or with the put of the last reference.
 *
 * mntort_lock is never held while the core is called, so it cannot hide
 * a missing lock there. It does order memory, hence this test is not the place
 * to find a missing barrier in few instructions of the core.
 */

#include <linux/string.h>

#include "torture.h"

DEFINE_SPINLOCK(mntort_lock);
atomic_long_t mntort_counters[MNTORT_NR_COUNTERS];

/* Has been linked since it was registered as @gen, and still is. */
static bool mntort_sub_linked(const struct mntort_sub *sub, u32 gen,
			      const struct mntort_mm *m)
{
	lockdep_assert_held(&mntort_lock);
	if (!gen || sub->gen != gen || sub->m != m || sub->released)
		return false;
	return sub->state == MNTORT_OPENING || sub->state == MNTORT_LIVE ||
	       (sub->state == MNTORT_CLOSING && sub->index < MNTORT_PLAIN);
}

/* The same, and registration has returned. */
static bool mntort_sub_stable(const struct mntort_sub *sub, u32 gen,
			      const struct mntort_mm *m)
{
	return mntort_sub_linked(sub, gen, m) && sub->state != MNTORT_OPENING;
}

static bool mntort_iv_stable(const struct mntort_iv *iv, u32 gen,
			     const struct mntort_mm *m)
{
	lockdep_assert_held(&mntort_lock);
	return gen && iv->gen == gen && iv->state == MNTORT_LIVE &&
	       iv->m == m;
}

static bool mntort_iv_overlaps(const struct mntort_iv *iv, unsigned long start,
			       unsigned long end)
{
	return start < mntort_addr(iv->last + 1) &&
	       end > mntort_addr(iv->first);
}

/**
 * mntort_section_init - note who is owed a section before it begins
 * @sec: section, idle
 * @what: which hook is about to be called
 * @m: the mm, a reference is held
 * @start: first byte
 * @end: byte after the last
 */
void mntort_section_init(struct mntort_section *sec, enum mntort_what what,
			 struct mntort_mm *m, unsigned long start,
			 unsigned long end)
{
	struct mntort_slot *slot = m->slot;
	int i;

	spin_lock(&mntort_lock);
	memset(sec, 0, sizeof(*sec));
	sec->what = what;
	sec->m = m;
	sec->start = start;
	sec->end = end;
	sec->late = m->exited;
	sec->phase = MNTORT_STARTING;
	for (i = 0; i < MNTORT_SUBS; i++) {
		struct mntort_sub *sub = &slot->subs[i];

		if (mntort_sub_stable(sub, sub->gen, m))
			sec->owed[i] = sub->gen;
	}
	for (i = 0; i < MNTORT_IVS; i++) {
		struct mntort_iv *iv = &slot->ivs[i];

		if (mntort_iv_stable(iv, iv->gen, m) &&
		    mntort_iv_overlaps(iv, start, end))
			sec->owed_iv[i] = iv->gen;
	}
	spin_unlock(&mntort_lock);
}

void mntort_section_set(struct mntort_section *sec, enum mntort_phase phase)
{
	spin_lock(&mntort_lock);
	sec->phase = phase;
	spin_unlock(&mntort_lock);
}

/* After a successful start, or one that a whole-mm subscriber refused. */
static void mntort_check_starts(struct mntort_section *sec)
{
	int i;

	for (i = 0; i < MNTORT_SUBS; i++) {
		struct mntort_sub *sub = &sec->m->slot->subs[i];
		struct mntort_mark *mark = &sec->subs[i];
		u32 starts = mark->gen == sec->owed[i] ? mark->starts : 0;

		if (!sub->ops->invalidate_range_start ||
		    !mntort_sub_stable(sub, sec->owed[i], sec->m))
			continue;
		mntort_count(starts);
		mntort_check(starts == 1,
			     "M missed: start for sub=%d#%u: expected 1 got %u",
			     i, sub->gen, starts);
	}
}

/* After the end, or after a start that failed: nothing may be left over. */
static void mntort_check_ends(struct mntort_section *sec)
{
	int i;

	for (i = 0; i < MNTORT_SUBS; i++) {
		struct mntort_sub *sub = &sec->m->slot->subs[i];
		struct mntort_mark *mark = &sec->subs[i];
		u32 owed = mark->starts && !mark->refused;

		if (!sub->ops->invalidate_range_end ||
		    !mntort_sub_linked(sub, mark->gen, sec->m))
			continue;
		mntort_count(ends);
		mntort_check(mark->ends == owed,
			     "P pairing: end for sub=%d#%u: expected %u got %u",
			     i, sub->gen, owed, mark->ends);
	}
}

static void mntort_check_ivs(struct mntort_section *sec)
{
	int i;

	for (i = 0; i < MNTORT_IVS; i++) {
		struct mntort_iv *iv = &sec->m->slot->ivs[i];
		struct mntort_mark *mark = &sec->ivs[i];
		u32 starts = mark->gen == sec->owed_iv[i] ? mark->starts : 0;

		if (!mntort_iv_stable(iv, sec->owed_iv[i], sec->m))
			continue;
		mntort_check(starts == 1,
			     "M missed: invalidate for iv=%d#%u pages=%d-%d: expected 1 got %u",
			     i, iv->gen, iv->first, iv->last, starts);
	}
}

/**
 * mntort_section_started - check a section whose start has just returned
 * @sec: section
 * @ret: what start returned, 0 for a blockable one
 */
void mntort_section_started(struct mntort_section *sec, int ret)
{
	int expected = sec->refused || sec->iv_refused ? -EAGAIN : 0;

	spin_lock(&mntort_lock);
	mntort_check(ret == expected,
		     "N non-blocking: result of start: expected %d got %d",
		     expected, ret);
	mntort_check(sec->passes == sec->finished,
		     "P pairing: finish: expected %d got %d", sec->passes,
		     sec->finished);
	if (sec->iv_refused)
		mntort_check(!sec->whole,
			     "O order: whole-mm start after an interval refused");
	else
		mntort_check_starts(sec);
	if (!ret)
		mntort_check_ivs(sec);
	else
		mntort_check_ends(sec);
	sec->phase = ret ? MNTORT_IDLE : MNTORT_OPEN;
	spin_unlock(&mntort_lock);
}

/**
 * mntort_section_check_open - no reader may establish pages of an open section
 * @sec: section, open
 */
void mntort_section_check_open(struct mntort_section *sec)
{
	int page, i;

	spin_lock(&mntort_lock);
	for (i = 0; i < MNTORT_IVS; i++) {
		struct mntort_iv *iv = &sec->m->slot->ivs[i];

		if (!mntort_iv_stable(iv, sec->owed_iv[i], sec->m))
			continue;
		for (page = iv->first; page <= iv->last; page++) {
			if (mntort_addr(page) < sec->start ||
			    mntort_addr(page) >= sec->end)
				continue;
			mntort_check(!test_bit(page, iv->spte),
				     "C collision: page %d of iv=%d#%u is mapped in an open section",
				     page, i, iv->gen);
		}
	}
	spin_unlock(&mntort_lock);
}

/**
 * mntort_section_ended - check a section whose end has just returned
 * @sec: section
 */
void mntort_section_ended(struct mntort_section *sec)
{
	spin_lock(&mntort_lock);
	mntort_check_ends(sec);
	sec->phase = MNTORT_IDLE;
	spin_unlock(&mntort_lock);
}

static void mntort_check_covered(const struct mntort_section *sec,
				 const struct mntort_mark *mark, u32 owed,
				 const char *who, int i)
{
	if (!mntort_check(mark->gen == owed && mark->starts,
			  "M missed: %s=%d#%u heard nothing of a real unmap",
			  who, i, owed))
		return;
	mntort_check(mark->lo <= sec->start && mark->hi >= sec->end,
		     "R range: %s=%d#%u heard of pages %ld-%ld of a real unmap",
		     who, i, owed,
		     (long)(mark->lo - MNTORT_BASE) / (long)PAGE_SIZE,
		     (long)(mark->hi - MNTORT_BASE) / (long)PAGE_SIZE);
}

/**
 * mntort_real_ended - check an operation that unmapped pages of an mm
 * @sec: section of type MNTORT_REAL
 *
 * How many sections such an operation consists of is its own business, but
 * they must cover what it unmapped, and they must all have ended.
 */
void mntort_real_ended(struct mntort_section *sec)
{
	struct mntort_slot *slot = sec->m->slot;
	int i;

	spin_lock(&mntort_lock);
	for (i = 0; i < MNTORT_SUBS; i++) {
		struct mntort_sub *sub = &slot->subs[i];
		struct mntort_mark *mark = &sec->subs[i];

		if (!mntort_sub_stable(sub, sec->owed[i], sec->m))
			continue;
		if (sub->ops->invalidate_range_start)
			mntort_check_covered(sec, mark, sub->gen, "sub", i);
		if (sub->ops->invalidate_range_end)
			mntort_check(mark->starts == mark->ends,
				     "P pairing: real ends for sub=%d#%u: expected %u got %u",
				     i, sub->gen, mark->starts, mark->ends);
	}
	for (i = 0; i < MNTORT_IVS; i++) {
		struct mntort_iv *iv = &slot->ivs[i];

		if (mntort_iv_stable(iv, sec->owed_iv[i], sec->m))
			mntort_check_covered(sec, &sec->ivs[i], iv->gen, "iv",
					     i);
	}
	sec->phase = MNTORT_IDLE;
	spin_unlock(&mntort_lock);
}

static bool mntort_has_hook(const struct mmu_notifier_ops *ops,
			    enum mntort_what what)
{
	switch (what) {
	case MNTORT_CLEAR_FLUSH_YOUNG:
		return ops->clear_flush_young;
	case MNTORT_CLEAR_YOUNG:
		return ops->clear_young;
	case MNTORT_TEST_YOUNG:
		return ops->test_young;
	case MNTORT_AIST:
		return ops->arch_invalidate_secondary_tlbs;
	default:
		return false;
	}
}

/**
 * mntort_hook_ended - check a young hook or a secondary TLB invalidation
 * @sec: section of the type of the hook
 * @young: what the core returned, false if it returns nothing
 */
void mntort_hook_ended(struct mntort_section *sec, bool young)
{
	int i;

	spin_lock(&mntort_lock);
	mntort_check(young == sec->young,
		     "Y young: hook %d: expected %d got %d", sec->what,
		     sec->young, young);
	for (i = 0; i < MNTORT_SUBS; i++) {
		struct mntort_sub *sub = &sec->m->slot->subs[i];
		struct mntort_mark *mark = &sec->subs[i];
		u32 starts = mark->gen == sec->owed[i] ? mark->starts : 0;

		if (!mntort_has_hook(sub->ops, sec->what) ||
		    !mntort_sub_stable(sub, sec->owed[i], sec->m))
			continue;
		/* One young answer is enough when nothing is cleared. */
		if (sec->what == MNTORT_TEST_YOUNG && young && !starts)
			continue;
		mntort_check(starts == 1,
			     "M missed: hook %d for sub=%d#%u: expected 1 got %u",
			     sec->what, i, sub->gen, starts);
	}
	sec->phase = MNTORT_IDLE;
	spin_unlock(&mntort_lock);
}

static void mntort_check_announced(const struct mntort_sub *sub,
				   const struct mntort_section *sec)
{
	if (sec->what != MNTORT_SECTION || sec->phase != MNTORT_OPEN ||
	    sec->m != sub->m)
		return;
	mntort_check(sec->subs[sub->index].gen == sub->gen,
		     "M missed: sub=%d#%u registered, section of pages %ld-%ld open and not announced",
		     sub->index, sub->gen,
		     (long)(sec->start - MNTORT_BASE) / (long)PAGE_SIZE,
		     (long)(sec->end - MNTORT_BASE) / (long)PAGE_SIZE);
}

/**
 * mntort_sub_opened - a registration has returned: the subscriber is live
 * @sub: subscriber
 */
void mntort_sub_opened(struct mntort_sub *sub)
{
	struct mntort_thread *th;
	int i;

	lockdep_assert_held(&mntort_lock);
	sub->state = MNTORT_LIVE;
	if (!sub->ops->invalidate_range_start)
		return;
	for (th = mntort_next_thread(NULL); th; th = mntort_next_thread(th))
		for (i = 0; i < MNTORT_NEST; i++)
			mntort_check_announced(sub, &th->sec[i]);
}

static struct mntort_mark *mntort_mark(struct mntort_mark *mark, u32 gen)
{
	if (mark->gen != gen) {
		memset(mark, 0, sizeof(*mark));
		mark->gen = gen;
		mark->lo = ULONG_MAX;
	}
	return mark;
}

static void mntort_check_range(const struct mntort_section *sec,
			       const struct mmu_notifier_range *range,
			       const char *who, int i)
{
	bool blockable = mmu_notifier_range_blockable(range);

	if (sec->what != MNTORT_SECTION)
		return;
	mntort_check(range->start == sec->start && range->end == sec->end,
		     "R range: %s=%d got pages %ld-%ld", who, i,
		     (long)(range->start - MNTORT_BASE) / (long)PAGE_SIZE,
		     (long)(range->end - MNTORT_BASE) / (long)PAGE_SIZE);
	mntort_check(range->event == sec->event &&
		     blockable == sec->blockable,
		     "R range: %s=%d got event %d, blockable %d", who, i,
		     range->event, blockable);
}

/* The section of the calling thread, if it is one of this mm. */
static struct mntort_section *
mntort_section_of(struct mntort_thread *th, const struct mntort_mm *m,
		  const char *who, int i)
{
	if (!th || !th->cur)
		return NULL;
	if (!mntort_check(th->cur->m == m,
			  "R range: %s=%d of mm %d#%lu called", who, i,
			  m->slot->index, m->id))
		return NULL;
	return th->cur;
}

/**
 * mntort_sub_start - a subscriber's invalidate_range_start is about to return
 * @sub: subscriber
 * @th: calling thread, NULL if it is none of ours
 * @range: as received
 * @ret: what it will return
 */
void mntort_sub_start(struct mntort_sub *sub, struct mntort_thread *th,
		      const struct mmu_notifier_range *range, int ret)
{
	struct mntort_section *sec;
	struct mntort_mark *mark;

	spin_lock(&mntort_lock);
	if (th && th->exiting && th->exiting == sub->m)
		mntort_fail("L release: start for sub=%d#%u in exit", sub->index,
			    sub->gen);
	sec = mntort_section_of(th, sub->m, "sub", sub->index);
	if (!sec)
		goto out;
	mntort_check_range(sec, range, "sub", sub->index);
	mntort_check(!sec->late, "L release: start for sub=%d#%u after exit",
		     sub->index, sub->gen);
	mntort_check(sec->passes == sec->finished,
		     "O order: start for sub=%d#%u before finish", sub->index,
		     sub->gen);
	sec->whole = true;
	sec->refused |= !!ret;
	mark = mntort_mark(&sec->subs[sub->index], sub->gen);
	mark->starts++;
	mark->refused |= !!ret;
	mark->lo = min(mark->lo, range->start);
	mark->hi = max(mark->hi, range->end);
out:
	spin_unlock(&mntort_lock);
}

/**
 * mntort_sub_end - a subscriber's invalidate_range_end was called
 * @sub: subscriber
 * @th: calling thread, NULL if it is none of ours
 * @range: as received
 */
void mntort_sub_end(struct mntort_sub *sub, struct mntort_thread *th,
		    const struct mmu_notifier_range *range)
{
	struct mntort_section *sec;
	struct mntort_mark *mark;

	spin_lock(&mntort_lock);
	sec = mntort_section_of(th, sub->m, "sub", sub->index);
	if (!sec)
		goto out;
	mntort_check_range(sec, range, "sub", sub->index);
	mark = &sec->subs[sub->index];
	mntort_check(mark->gen == sub->gen && mark->starts > mark->ends &&
		     !mark->refused,
		     "P pairing: end without start for sub=%d#%u (%u starts, %u ends, %s)",
		     sub->index, sub->gen,
		     mark->gen == sub->gen ? mark->starts : 0, mark->ends,
		     mark->refused ? "refused" : "not refused");
	mark->ends++;
out:
	spin_unlock(&mntort_lock);
}

/**
 * mntort_sub_hook - a young hook or a secondary TLB invalidation was called
 * @sub: subscriber
 * @what: which hook
 * @mm: as received
 * @start: as received
 * @end: as received, or @start plus a page
 * @young: what it will return
 */
void mntort_sub_hook(struct mntort_sub *sub, enum mntort_what what,
		     struct mm_struct *mm, unsigned long start,
		     unsigned long end, bool young)
{
	struct mntort_section *sec;

	spin_lock(&mntort_lock);
	sec = mntort_section_of(mntort_self(), sub->m, "sub", sub->index);
	/* Real operations may well flush secondary TLBs. */
	if (!sec || sec->what == MNTORT_REAL)
		goto out;
	mntort_check(sec->what == what && mm == sub->m->mm &&
		     start == sec->start && end == sec->end,
		     "R range: hook %d for sub=%d got hook %d pages %ld-%ld",
		     sec->what, sub->index, what,
		     (long)(start - MNTORT_BASE) / (long)PAGE_SIZE,
		     (long)(end - MNTORT_BASE) / (long)PAGE_SIZE);
	mntort_check(!sec->late, "L release: hook %d for sub=%d#%u after exit",
		     what, sub->index, sub->gen);
	mntort_mark(&sec->subs[sub->index], sub->gen)->starts++;
	sec->young |= young;
out:
	spin_unlock(&mntort_lock);
}

/* Sections from outside the torture threads: only exit is of interest. */
static void mntort_iv_exit_event(struct mntort_iv *iv,
				 const struct mmu_notifier_range *range)
{
	if (range->event == MMU_NOTIFY_RELEASE) {
		mntort_check(!range->start && range->end == ULONG_MAX &&
			     mmu_notifier_range_blockable(range),
			     "R range: RELEASE for iv=%d has %lx-%lx",
			     iv->index, range->start, range->end);
		atomic_inc(&iv->releases);
	} else if (range->event == MMU_NOTIFY_UNMAP) {
		atomic_inc(&iv->unmaps);
	}
}

/**
 * mntort_iv_invalidate - an interval's first or only pass was called
 * @iv: interval
 * @th: calling thread, NULL if it is none of ours
 * @range: as received
 * @ok: what it will return
 */
void mntort_iv_invalidate(struct mntort_iv *iv, struct mntort_thread *th,
			  const struct mmu_notifier_range *range, bool ok)
{
	struct mntort_section *sec;
	struct mntort_mark *mark;

	spin_lock(&mntort_lock);
	mntort_count(invalidates);
	if (th && th->exiting && th->exiting == iv->m)
		mntort_iv_exit_event(iv, range);
	mntort_check(mntort_iv_overlaps(iv, range->start, range->end),
		     "R range: iv=%d#%u of pages %d-%d is elsewhere",
		     iv->index, iv->gen, iv->first, iv->last);
	sec = mntort_section_of(th, iv->m, "iv", iv->index);
	if (!sec)
		goto out;
	mntort_check_range(sec, range, "iv", iv->index);
	if (sec->what == MNTORT_SECTION) {
		mntort_check(!sec->whole,
			     "O order: iv=%d#%u after a whole-mm start",
			     iv->index, iv->gen);
		mntort_check(!sec->finished,
			     "O order: iv=%d#%u after the first finish",
			     iv->index, iv->gen);
	}
	sec->iv_refused |= !ok;
	mark = mntort_mark(&sec->ivs[iv->index], iv->gen);
	mntort_check(sec->what == MNTORT_REAL || !mark->starts,
		     "M missed: iv=%d#%u called twice", iv->index, iv->gen);
	mark->starts++;
	mark->lo = min(mark->lo, range->start);
	mark->hi = max(mark->hi, range->end);
out:
	spin_unlock(&mntort_lock);
}
