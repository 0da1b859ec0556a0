// SPDX-License-Identifier: GPL-2.0
/*
 * Whole-mm subscribers of the MMU notifier torture test that are shared with
 * mmu_notifier_get() and given back with mmu_notifier_put().
 *
 * The oracle counts a reference after get has returned it and until put is
 * about to be called, so the core's own count is never below the oracle's.
 */

#include <linux/delay.h>
#include <linux/err.h>

#include "torture.h"

static struct mmu_notifier *mntort_alloc_notifier_a(struct mm_struct *mm);
static struct mmu_notifier *mntort_alloc_notifier_b(struct mm_struct *mm);
static void mntort_free_notifier(struct mmu_notifier *mn);

/* The core tells get/put notifiers of one mm apart by the ops vector. */
#define MNTORT_GET_OPS_INIT(which)					\
{									\
	.release = mntort_release,					\
	.clear_young = mntort_clear_young,				\
	.invalidate_range_start = mntort_range_start,			\
	.invalidate_range_end = mntort_range_end,			\
	.alloc_notifier = mntort_alloc_notifier_##which,		\
	.free_notifier = mntort_free_notifier,				\
}

const struct mmu_notifier_ops mntort_get_ops[MNTORT_GET_OPS] = {
	MNTORT_GET_OPS_INIT(a),
	MNTORT_GET_OPS_INIT(b),
};

static struct mntort_sub *mntort_get_sub(struct mntort_slot *slot, int which,
					 int i)
{
	return &slot->subs[MNTORT_PLAIN + which * MNTORT_GET_EACH + i];
}

static struct mmu_notifier *mntort_alloc_notifier(struct mm_struct *mm,
						  int which)
{
	struct mntort_slot *slot = mntort_self()->get_slot;
	struct mntort_sub *sub, *found = NULL;
	struct mntort_obj *obj;
	int i;

	spin_lock(&mntort_lock);
	for (i = 0; i < MNTORT_GET_EACH; i++) {
		sub = mntort_get_sub(slot, which, i);
		mntort_check(sub->m != slot->m || !sub->refs,
			     "E error: get does not find sub=%d#%u",
			     sub->index, sub->gen);
		if (sub->state == MNTORT_FREE)
			found = sub;
	}
	spin_unlock(&mntort_lock);
	/* All put, none freed yet. */
	if (!found)
		return ERR_PTR(-EBUSY);

	mntort_obj_free(found);
	obj = mntort_obj_alloc(found);
	if (!obj)
		return ERR_PTR(-ENOMEM);
	mntort_sub_opening(found, obj, slot->m);
	return &obj->mn;
}

static struct mmu_notifier *mntort_alloc_notifier_a(struct mm_struct *mm)
{
	return mntort_alloc_notifier(mm, 0);
}

static struct mmu_notifier *mntort_alloc_notifier_b(struct mm_struct *mm)
{
	return mntort_alloc_notifier(mm, 1);
}

static void mntort_free_notifier(struct mmu_notifier *mn)
{
	struct mntort_sub *sub = mntort_sub_of(mn);

	mntort_sub_alive(mn, "is freed after");
	mntort_check(in_task() && !irqs_disabled(),
		     "F free: sub=%d not freed in process context",
		     sub->index);
	mntort_check(!READ_ONCE(sub->refs) &&
		     READ_ONCE(sub->state) != MNTORT_LIVE,
		     "F free: sub=%d#%u freed with %d references", sub->index,
		     sub->gen, sub->refs);
	mntort_sub_closed(sub);
	mntort_count(frees);
}

static struct mmu_notifier *mntort_call_get(struct mntort_thread *th,
					    const struct mmu_notifier_ops *ops,
					    struct mm_struct *mm)
{
	struct mmu_notifier *mn;

	if (mntort_once_in(th, 2))
		return mmu_notifier_get(ops, mm);
	mmap_write_lock(mm);
	mn = mmu_notifier_get_locked(ops, mm);
	mmap_write_unlock(mm);
	return mn;
}

/* get has returned @mn: account the reference. */
static struct mntort_obj *mntort_got(struct mmu_notifier *mn,
				     struct mntort_slot *slot,
				     const struct mmu_notifier_ops *ops)
{
	struct mntort_obj *obj = container_of(mn, struct mntort_obj, mn);
	struct mntort_sub *sub = obj->sub;

	spin_lock(&mntort_lock);
	mntort_sub_alive(mn, "is found after");
	mntort_check(sub->ops == ops && sub->m == slot->m,
		     "E error: get found sub=%d of another mm or user",
		     sub->index);
	if (sub->state != MNTORT_OPENING)
		mntort_count(shared_gets);
	sub->refs++;
	mntort_sub_opened(sub);
	spin_unlock(&mntort_lock);
	mntort_count(gets);
	return obj;
}

static struct mntort_obj *mntort_get(struct mntort_thread *th)
{
	const struct mmu_notifier_ops *ops =
		&mntort_get_ops[mntort_random(th, MNTORT_GET_OPS)];
	struct mntort_slot *slot = mntort_random_slot(th);
	struct mntort_obj *obj = NULL;
	struct mmu_notifier *mn;

	mntort_doing(th, "get", slot->index);
	th->get_slot = slot;
	down_read(&slot->sem);
	if (!slot->m->gets)
		goto out;
	mn = mntort_call_get(th, ops, slot->m->mm);
	if (!IS_ERR(mn))
		obj = mntort_got(mn, slot, ops);
	else
		mntort_check(PTR_ERR(mn) == -EBUSY,
			     "E error: get: got %ld", PTR_ERR(mn));
out:
	up_read(&slot->sem);
	return obj;
}

/* Returns a ticket if this was the last reference. */
static u32 mntort_put(struct mntort_obj *obj)
{
	struct mntort_sub *sub = obj->sub;
	u32 ticket = 0;

	spin_lock(&mntort_lock);
	if (!--sub->refs) {
		sub->state = MNTORT_CLOSING;
		ticket = ++sub->ticket;
	}
	spin_unlock(&mntort_lock);
	mmu_notifier_put(&obj->mn);
	return ticket;
}

static void mntort_put_shared(struct mntort_obj *obj)
{
	struct mntort_sub *sub = obj->sub;

	down_read(&sub->slot->sem);
	mntort_put(obj);
	up_read(&sub->slot->sem);
}

/* No get or put is under way, so the last put is known to be the last one. */
static void mntort_put_synchronize(struct mntort_thread *th,
				   struct mntort_obj *obj)
{
	struct mntort_sub *sub = obj->sub;
	u32 ticket;

	down_write(&sub->slot->sem);
	ticket = mntort_put(obj);
	mntort_doing(th, "synchronize", sub->slot->index);
	mmu_notifier_synchronize();
	if (ticket && mntort_strict) {
		spin_lock(&mntort_lock);
		mntort_check(sub->ticket != ticket ||
			     sub->state != MNTORT_CLOSING,
			     "F free: sub=%d#%u not freed by synchronize",
			     sub->index, sub->gen);
		spin_unlock(&mntort_lock);
	}
	up_write(&sub->slot->sem);
	mntort_count(synchronizes);
}

/**
 * mntort_get_step - get a notifier, or put one
 * @th: thread
 */
void mntort_get_step(struct mntort_thread *th)
{
	struct mntort_obj **held = &th->held[mntort_random(th, MNTORT_HELD)];
	struct mntort_obj *obj = *held;

	if (!obj) {
		*held = mntort_get(th);
	} else {
		*held = NULL;
		mntort_doing(th, "put", obj->sub->slot->index);
		if (mntort_once_in(th, 8))
			mntort_put_synchronize(th, obj);
		else
			mntort_put_shared(obj);
	}
	if (mntort_once_in(th, 8))
		usleep_range(100, 1000);
}

/**
 * mntort_get_drain - put whatever the thread still holds
 * @th: thread
 */
void mntort_get_drain(struct mntort_thread *th)
{
	int i;

	for (i = 0; i < MNTORT_HELD; i++) {
		if (th->held[i])
			mntort_put_shared(th->held[i]);
		th->held[i] = NULL;
	}
}
