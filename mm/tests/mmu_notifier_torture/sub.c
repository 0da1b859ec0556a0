// SPDX-License-Identifier: GPL-2.0
/*
 * Whole-mm subscribers of the MMU notifier torture test.
 *
 * What is registered is a fresh object each time, full of garbage, with a
 * magic number. As soon as the core has promised not to touch it any more it
 * is poisoned: its magic changes, and its ops vector is replaced by one that
 * reports every call. The poison is checked when the subscriber is used next.
 */

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "torture.h"

#define MNTORT_SUB_MAGIC	0x6d6e746fUL
#define MNTORT_SUB_POISON	0x64656164UL

void mntort_sub_alive(struct mmu_notifier *mn, const char *when)
{
	struct mntort_obj *obj = container_of(mn, struct mntort_obj, mn);

	mntort_check(READ_ONCE(obj->magic) == MNTORT_SUB_MAGIC,
		     "A after: callback of sub=%d of mm slot %d %s its end",
		     obj->sub->index, obj->sub->slot->index, when);
}

static struct mntort_sub *mntort_sub_enter(struct mmu_notifier *mn)
{
	struct mntort_sub *sub = mntort_sub_of(mn);

	mntort_sub_alive(mn, "begins after");
	atomic_inc(&sub->running);
	return sub;
}

static void mntort_sub_leave(struct mmu_notifier *mn)
{
	mntort_sub_alive(mn, "runs beyond");
	atomic_dec(&mntort_sub_of(mn)->running);
}

/* As slow as the context allows, once in a while beyond a grace period. */
void mntort_dally(struct mntort_thread *th, bool may_sleep)
{
	if (!th || mntort_once_in(th, 2))
		return;
	if (may_sleep && mntort_once_in(th, 512))
		msleep(50);
	else if (may_sleep && mntort_once_in(th, 32))
		usleep_range(20, 200);
	else
		udelay(mntort_random(th, 10));
}

static int mntort_start(struct mmu_notifier *mn,
			const struct mmu_notifier_range *range, bool refuse)
{
	struct mntort_thread *th = mntort_self();
	struct mntort_sub *sub = mntort_sub_enter(mn);
	bool blockable = mmu_notifier_range_blockable(range);
	int ret = 0;

	/* An unsuccessful start leaks the interval side outside strict mode. */
	if (refuse && !blockable && th && mntort_once_in(th, 8) &&
	    (mntort_strict || !sub->m->ivs))
		ret = -EAGAIN;
	mntort_dally(th, blockable);
	mntort_sub_start(sub, th, range, ret);
	mntort_sub_leave(mn);
	return ret;
}

int mntort_range_start(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range)
{
	return mntort_start(mn, range, false);
}

static int mntort_range_start_refuse(struct mmu_notifier *mn,
				     const struct mmu_notifier_range *range)
{
	return mntort_start(mn, range, true);
}

void mntort_range_end(struct mmu_notifier *mn,
		      const struct mmu_notifier_range *range)
{
	struct mntort_thread *th = mntort_self();
	struct mntort_sub *sub = mntort_sub_enter(mn);

	mntort_sub_end(sub, th, range);
	mntort_dally(th, mmu_notifier_range_blockable(range));
	mntort_sub_leave(mn);
}

/* In exit, the intervals come first. */
static void mntort_check_release_order(struct mntort_sub *sub)
{
	int i;

	spin_lock(&mntort_lock);
	for (i = 0; i < MNTORT_IVS; i++) {
		struct mntort_iv *iv = &sub->slot->ivs[i];

		if (iv->m != sub->m || iv->state != MNTORT_LIVE ||
		    !iv->exit_gen || iv->gen != iv->exit_gen)
			continue;
		mntort_check(atomic_read(&iv->releases),
			     "O order: release of sub=%d before RELEASE for iv=%d#%u",
			     sub->index, i, iv->gen);
	}
	spin_unlock(&mntort_lock);
}

/*
 * Only the strict contract makes unregister and exit agree on who calls
 * ->release. Otherwise both may, and unregister may do so late.
 */
static bool mntort_release_raced(struct mntort_sub *sub)
{
	bool raced;

	spin_lock(&mntort_lock);
	raced = !mntort_strict && sub->m->exiting &&
		sub->state == MNTORT_CLOSING;
	spin_unlock(&mntort_lock);
	return raced;
}

/* One page is there from the birth of the mm until it exits. */
static bool mntort_mapped(struct mm_struct *mm)
{
	return get_mm_counter_sum(mm, MM_ANONPAGES) > 0;
}

void mntort_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct mntort_thread *th = mntort_self();
	struct mntort_sub *sub = mntort_sub_enter(mn);
	int releases = atomic_inc_return(&sub->releases);
	bool mapped = mntort_mapped(mm);

	might_sleep();
	mntort_check(mm == sub->m->mm, "L release: wrong mm for sub=%d",
		     sub->index);
	mntort_check(releases == 1 || mntort_release_raced(sub),
		     "L release: sub=%d#%u of mm %d#%lu: expected 1 got %d",
		     sub->index, sub->gen, sub->slot->index, sub->m->id,
		     releases);
	if (th && th->exiting)
		mntort_check_release_order(sub);
	mntort_check(mapped || mntort_release_raced(sub),
		     "L release: sub=%d#%u of mm %d#%lu: pages are gone",
		     sub->index, sub->gen, sub->slot->index, sub->m->id);
	if (th && mntort_once_in(th, 2))
		usleep_range(100, 4000);
	mntort_check(!mapped || mntort_mapped(mm) || mntort_release_raced(sub),
		     "L release: sub=%d#%u of mm %d#%lu: pages freed meanwhile",
		     sub->index, sub->gen, sub->slot->index, sub->m->id);
	spin_lock(&mntort_lock);
	sub->released = true;
	spin_unlock(&mntort_lock);
	mntort_sub_leave(mn);
}

/* A hash, so that every subscriber has its own opinion on every page. */
static bool mntort_is_young(const struct mntort_sub *sub, unsigned long addr)
{
	return (addr / PAGE_SIZE + sub->index) % 8 == 0;
}

static bool mntort_any_young(struct mmu_notifier *mn, enum mntort_what what,
			     struct mm_struct *mm, unsigned long start,
			     unsigned long end)
{
	struct mntort_sub *sub = mntort_sub_enter(mn);
	bool young = mntort_is_young(sub, start);

	mntort_sub_hook(sub, what, mm, start, end, young);
	mntort_sub_leave(mn);
	return young;
}

static bool mntort_clear_flush_young(struct mmu_notifier *mn,
				     struct mm_struct *mm,
				     unsigned long start, unsigned long end)
{
	return mntort_any_young(mn, MNTORT_CLEAR_FLUSH_YOUNG, mm, start, end);
}

bool mntort_clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
			unsigned long start, unsigned long end)
{
	return mntort_any_young(mn, MNTORT_CLEAR_YOUNG, mm, start, end);
}

static bool mntort_test_young(struct mmu_notifier *mn, struct mm_struct *mm,
			      unsigned long address)
{
	return mntort_any_young(mn, MNTORT_TEST_YOUNG, mm, address,
				address + PAGE_SIZE);
}

static void mntort_aist(struct mmu_notifier *mn, struct mm_struct *mm,
			unsigned long start, unsigned long end)
{
	struct mntort_sub *sub = mntort_sub_enter(mn);

	mntort_sub_hook(sub, MNTORT_AIST, mm, start, end, false);
	mntort_sub_leave(mn);
}

static const struct mmu_notifier_ops mntort_pair_ops = {
	.release = mntort_release,
	.clear_flush_young = mntort_clear_flush_young,
	.clear_young = mntort_clear_young,
	.test_young = mntort_test_young,
	.invalidate_range_start = mntort_range_start,
	.invalidate_range_end = mntort_range_end,
};

/* Whoever refuses must not have an end, except under the strict contract. */
static const struct mmu_notifier_ops mntort_refuser_ops = {
	.release = mntort_release,
	.invalidate_range_start = mntort_range_start_refuse,
};

static const struct mmu_notifier_ops mntort_refuser_end_ops = {
	.release = mntort_release,
	.invalidate_range_start = mntort_range_start_refuse,
	.invalidate_range_end = mntort_range_end,
};

static const struct mmu_notifier_ops mntort_aist_ops = {
	.release = mntort_release,
	.arch_invalidate_secondary_tlbs = mntort_aist,
};

static void mntort_poisoned(struct mmu_notifier *mn, const char *op)
{
	struct mntort_sub *sub = mntort_sub_of(mn);

	mntort_fail("A after: %s for sub=%d#%u of mm slot %d after its end",
		    op, sub->index, sub->gen, sub->slot->index);
}

static void mntort_poison_release(struct mmu_notifier *mn,
				  struct mm_struct *mm)
{
	mntort_poisoned(mn, "release");
}

static bool mntort_poison_young(struct mmu_notifier *mn, struct mm_struct *mm,
				unsigned long start, unsigned long end)
{
	mntort_poisoned(mn, "young hook");
	return false;
}

static bool mntort_poison_test_young(struct mmu_notifier *mn,
				     struct mm_struct *mm, unsigned long addr)
{
	mntort_poisoned(mn, "test_young");
	return false;
}

static int mntort_poison_start(struct mmu_notifier *mn,
			       const struct mmu_notifier_range *range)
{
	mntort_poisoned(mn, "start");
	return 0;
}

static void mntort_poison_end(struct mmu_notifier *mn,
			      const struct mmu_notifier_range *range)
{
	mntort_poisoned(mn, "end");
}

static void mntort_poison_aist(struct mmu_notifier *mn, struct mm_struct *mm,
			       unsigned long start, unsigned long end)
{
	mntort_poisoned(mn, "secondary TLB invalidation");
}

static void mntort_poison_free(struct mmu_notifier *mn)
{
	mntort_fail("F free: second free_notifier for sub=%d",
		    mntort_sub_of(mn)->index);
}

static const struct mmu_notifier_ops mntort_poison_ops = {
	.release = mntort_poison_release,
	.clear_flush_young = mntort_poison_young,
	.clear_young = mntort_poison_young,
	.test_young = mntort_poison_test_young,
	.invalidate_range_start = mntort_poison_start,
	.invalidate_range_end = mntort_poison_end,
	.arch_invalidate_secondary_tlbs = mntort_poison_aist,
	.free_notifier = mntort_poison_free,
};

struct mntort_obj *mntort_obj_alloc(struct mntort_sub *sub)
{
	struct mntort_obj *obj = kmalloc_obj(*obj);

	if (!obj)
		return NULL;
	memset(obj, 0xa5, sizeof(*obj));
	obj->mn.ops = sub->ops;
	obj->sub = sub;
	obj->magic = MNTORT_SUB_MAGIC;
	return obj;
}

static void mntort_obj_poison(struct mntort_obj *obj)
{
	struct mmu_notifier *dead = &obj->dead;

	/* Who walks over it all the same shall live to be reported. */
	memset(dead, MNTORT_POISON, sizeof(*dead));
	dead->hlist = obj->mn.hlist;
	dead->ops = &mntort_poison_ops;
	WRITE_ONCE(obj->magic, MNTORT_SUB_POISON);
	memcpy(&obj->mn, dead, sizeof(*dead));
}

/* Buries what was left of the last registration. */
void mntort_obj_free(struct mntort_sub *sub)
{
	struct mntort_obj *obj = sub->obj;

	if (!obj)
		return;
	mntort_check(obj->magic == MNTORT_SUB_POISON &&
		     !memcmp(&obj->mn, &obj->dead, sizeof(obj->mn)),
		     "A after: sub=%d#%u was written to after its end",
		     sub->index, sub->gen);
	kfree(obj);
	sub->obj = NULL;
	mntort_mm_put(sub->m);
}

/* A new life; afterwards callbacks are allowed, but not owed. */
void mntort_sub_opening(struct mntort_sub *sub, struct mntort_obj *obj,
			struct mntort_mm *m)
{
	mntort_mm_ref(m);
	spin_lock(&mntort_lock);
	sub->obj = obj;
	sub->m = m;
	sub->gen++;
	sub->state = MNTORT_OPENING;
	sub->released = false;
	atomic_set(&sub->releases, 0);
	spin_unlock(&mntort_lock);
}

static void mntort_sub_set(struct mntort_sub *sub, enum mntort_state state)
{
	spin_lock(&mntort_lock);
	sub->state = state;
	spin_unlock(&mntort_lock);
}

/* The core has promised that @sub is quiet. Poison it. */
void mntort_sub_closed(struct mntort_sub *sub)
{
	int running = atomic_read(&sub->running);

	mntort_check(!running,
		     "A after: sub=%d#%u: %d callbacks still run after its end",
		     sub->index, sub->gen, running);
	mntort_obj_poison(sub->obj);
	mntort_sub_set(sub, MNTORT_FREE);
}

static int mntort_call_register(struct mntort_thread *th,
				struct mmu_notifier *mn, struct mm_struct *mm)
{
	int ret;

	if (mntort_once_in(th, 2))
		return mmu_notifier_register(mn, mm);
	mmap_write_lock(mm);
	ret = __mmu_notifier_register(mn, mm);
	mmap_write_unlock(mm);
	return ret;
}

static void mntort_sub_register(struct mntort_thread *th,
				struct mntort_sub *sub)
{
	struct mntort_slot *slot = sub->slot;
	struct mntort_obj *obj;
	int ret;

	down_read(&slot->sem);
	if (sub->index >= slot->m->plain)
		goto out;
	mntort_obj_free(sub);
	obj = mntort_obj_alloc(sub);
	if (!obj)
		goto out;
	mntort_sub_opening(sub, obj, slot->m);
	ret = mntort_call_register(th, &obj->mn, slot->m->mm);
	if (mntort_check(!ret, "E error: register: expected 0 got %d", ret)) {
		spin_lock(&mntort_lock);
		mntort_sub_opened(sub);
		spin_unlock(&mntort_lock);
		mntort_count(registrations);
	} else {
		mntort_sub_closed(sub);
	}
out:
	up_read(&slot->sem);
}

static void mntort_sub_unregister(struct mntort_sub *sub)
{
	struct mm_struct *mm = sub->m->mm;
	int releases;

	spin_lock(&mntort_lock);
	sub->state = MNTORT_CLOSING;
	if (sub->m->exiting && !sub->m->exited)
		mntort_count(exit_races);
	spin_unlock(&mntort_lock);
	mmu_notifier_unregister(&sub->obj->mn, mm);
	releases = atomic_read(&sub->releases);
	mntort_check(releases == 1 ||
		     (releases == 2 && mntort_release_raced(sub)),
		     "L release: unregister of sub=%d#%u: expected 1 got %d",
		     sub->index, sub->gen, releases);
	mntort_check(sub->obj->mn.mm == mm,
		     "E error: unregister of sub=%d#%u changed ->mm",
		     sub->index, sub->gen);
	mntort_sub_closed(sub);
	mntort_count(unregistrations);
}

/* A subscriber of an mm that is exiting, to have it unregistered meanwhile. */
static struct mntort_sub *mntort_exiting_sub(struct mntort_thread *th)
{
	struct mntort_slot *slot = READ_ONCE(mntort_exit_slot);
	int i = slot ? mntort_random(th, MNTORT_PLAIN) : 0;
	int end = slot ? i + MNTORT_PLAIN : 0;
	struct mntort_sub *found = NULL;

	spin_lock(&mntort_lock);
	for (; i < end && !found; i++) {
		struct mntort_sub *sub = &slot->subs[i % MNTORT_PLAIN];

		if (sub->state == MNTORT_LIVE && sub->m->exiting &&
		    !sub->m->exited)
			found = sub;
	}
	spin_unlock(&mntort_lock);
	return found;
}

static struct mntort_sub *mntort_random_sub(struct mntort_thread *th)
{
	struct mntort_slot *slot = mntort_random_slot(th);
	int nr = mntort_mm_takes(slot, false);

	return &slot->subs[mntort_random_of(th, nr, MNTORT_PLAIN)];
}

/**
 * mntort_register_step - register or unregister a random subscriber
 * @th: thread
 */
void mntort_register_step(struct mntort_thread *th)
{
	struct mntort_sub *sub =
		mntort_exiting_sub(th) ?: mntort_random_sub(th);
	struct mntort_slot *slot = sub->slot;

	if (!mutex_trylock(&sub->mutex)) {
		usleep_range(10, 100);
		return;
	}
	if (sub->state == MNTORT_FREE) {
		mntort_doing(th, "register", slot->index);
		mntort_sub_register(th, sub);
	} else {
		mntort_doing(th, "unregister", slot->index);
		mntort_sub_unregister(sub);
	}
	mutex_unlock(&sub->mutex);
	/* Let it live for a while. */
	if (mntort_once_in(th, 8))
		usleep_range(100, 2000);
}

void mntort_subs_init(struct mntort_slot *slot)
{
	int i;

	for (i = 0; i < MNTORT_SUBS; i++) {
		struct mntort_sub *sub = &slot->subs[i];

		mutex_init(&sub->mutex);
		sub->slot = slot;
		sub->index = i;
		sub->ops = &mntort_pair_ops;
	}
	slot->subs[0].ops = &mntort_aist_ops;
	slot->subs[1].ops = &mntort_refuser_ops;
	if (mntort_strict)
		slot->subs[2].ops = &mntort_refuser_end_ops;
	for (i = 0; i < MNTORT_GET_OPS * MNTORT_GET_EACH; i++)
		slot->subs[MNTORT_PLAIN + i].ops =
			&mntort_get_ops[i / MNTORT_GET_EACH];
}

static bool mntort_all_freed(struct mntort_slot *slot)
{
	bool freed = true;
	int i;

	spin_lock(&mntort_lock);
	for (i = MNTORT_PLAIN; i < MNTORT_SUBS; i++)
		freed &= slot->subs[i].state == MNTORT_FREE;
	spin_unlock(&mntort_lock);
	return freed;
}

/* Called twice at most; afterwards no object is left. */
void mntort_subs_exit(struct mntort_slot *slot)
{
	int i;

	for (i = 0; i < MNTORT_PLAIN; i++)
		if (slot->subs[i].state != MNTORT_FREE)
			mntort_sub_unregister(&slot->subs[i]);
	mmu_notifier_synchronize();
	/* A free_notifier that never comes is the watchdog's business. */
	while (!mntort_all_freed(slot))
		msleep(20);
	for (i = 0; i < MNTORT_SUBS; i++)
		mntort_obj_free(&slot->subs[i]);
}
