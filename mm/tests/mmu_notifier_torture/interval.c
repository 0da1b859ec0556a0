// SPDX-License-Identifier: GPL-2.0
/*
 * Interval subscribers of the MMU notifier torture test.
 *
 * Readers follow the documented protocol: read_begin, look at the pages, and
 * under the user lock, if there is no need to retry, establish "sptes". The
 * shadow model knows which pages are being torn down by an open section and
 * how often that has happened: a reader that need not retry must have seen
 * neither.
 */

#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/mmap_lock.h>
#include <linux/slab.h>

#include "torture.h"

#define MNTORT_IV_MAGIC		0x696e7476UL
#define MNTORT_IV_POISON	0x64656164UL

static struct mntort_iv *mntort_iv_of(struct mmu_interval_notifier *in)
{
	return container_of(in, struct mntort_iv_obj, in)->iv;
}

static void mntort_iv_alive(struct mmu_interval_notifier *in, const char *when)
{
	struct mntort_iv_obj *obj = container_of(in, struct mntort_iv_obj, in);

	mntort_check(READ_ONCE(obj->magic) == MNTORT_IV_MAGIC,
		     "A after: callback of iv=%d of mm slot %d %s its end",
		     obj->iv->index, obj->iv->slot->index, when);
}

static void mntort_iv_unmap(struct mntort_iv *iv,
			    const struct mmu_notifier_range *range)
{
	int page;

	lockdep_assert_held(&iv->user_lock);
	for (page = iv->first; page <= iv->last; page++)
		if (mntort_addr(page) >= range->start &&
		    mntort_addr(page) < range->end)
			clear_bit(page, iv->spte);
}

static void mntort_iv_set_seq(struct mntort_iv *iv,
			      struct mmu_interval_notifier *in,
			      unsigned long cur_seq)
{
	lockdep_assert_held(&iv->user_lock);
	mntort_check(cur_seq % 2 && cur_seq != ULONG_MAX &&
		     cur_seq != LONG_MAX, "C collision: iv=%d has seq %lx",
		     iv->index, cur_seq);
	mmu_interval_set_seq(in, cur_seq);
	iv->seq = cur_seq;
	iv->seq_known = true;
}

/* Ask for a second pass, if the section is one of ours. */
static bool mntort_iv_defer(struct mntort_iv *iv, struct mntort_thread *th,
			    struct mmu_interval_notifier_finish **finish)
{
	struct mntort_section *sec = th ? th->cur : NULL;
	struct mntort_finish *pass;

	if (!finish || !sec || sec->what != MNTORT_SECTION ||
	    !sec->blockable || mntort_once_in(th, 4))
		return false;
	pass = &sec->finish[iv->index];
	pass->sec = sec;
	pass->iv = iv;
	pass->order = sec->passes++;
	pass->pending = true;
	*finish = &pass->finish;
	return true;
}

static bool mntort_iv_call(struct mmu_interval_notifier *in,
			   const struct mmu_notifier_range *range,
			   unsigned long cur_seq,
			   struct mmu_interval_notifier_finish **finish)
{
	struct mntort_iv *iv = mntort_iv_of(in);
	struct mntort_thread *th = mntort_self();
	bool ok = true;

	mntort_iv_alive(in, "begins after");
	atomic_inc(&iv->running);
	if (mmu_notifier_range_blockable(range))
		mutex_lock(&iv->user_lock);
	else
		ok = mutex_trylock(&iv->user_lock);
	mntort_dally(th, mmu_notifier_range_blockable(range));
	mntort_iv_invalidate(iv, th, range, ok);
	if (ok) {
		mntort_iv_set_seq(iv, in, cur_seq);
		if (!mntort_iv_defer(iv, th, finish))
			mntort_iv_unmap(iv, range);
		mutex_unlock(&iv->user_lock);
	}
	mntort_iv_alive(in, "runs beyond");
	atomic_dec(&iv->running);
	return ok;
}

static bool mntort_invalidate(struct mmu_interval_notifier *in,
			      const struct mmu_notifier_range *range,
			      unsigned long cur_seq)
{
	return mntort_iv_call(in, range, cur_seq, NULL);
}

static bool mntort_invalidate_start(struct mmu_interval_notifier *in,
				    const struct mmu_notifier_range *range,
				    unsigned long cur_seq,
				    struct mmu_interval_notifier_finish **finish)
{
	return mntort_iv_call(in, range, cur_seq, finish);
}

static void
mntort_invalidate_finish(struct mmu_interval_notifier_finish *finish)
{
	struct mntort_finish *pass =
		container_of(finish, struct mntort_finish, finish);
	struct mntort_section *sec = pass->sec;
	struct mntort_iv *iv = pass->iv;

	mntort_iv_alive(finish->notifier, "finishes after");
	atomic_inc(&iv->running);
	mntort_check(pass->pending && pass->order == sec->finished &&
		     &iv->obj->in == finish->notifier,
		     "O order: finish for iv=%d: expected %d got %d%s",
		     iv->index, sec->finished, pass->order,
		     pass->pending ? "" : ", twice");
	pass->pending = false;
	sec->finished++;
	mutex_lock(&iv->user_lock);
	mntort_iv_unmap(iv, &sec->range);
	mutex_unlock(&iv->user_lock);
	mntort_count(finishes);
	atomic_dec(&iv->running);
}

static const struct mmu_interval_notifier_ops mntort_iv_ops = {
	.invalidate = mntort_invalidate,
};

static const struct mmu_interval_notifier_ops mntort_iv_two_pass_ops = {
	.invalidate_start = mntort_invalidate_start,
	.invalidate_finish = mntort_invalidate_finish,
};

static bool mntort_poison_invalidate(struct mmu_interval_notifier *in,
				     const struct mmu_notifier_range *range,
				     unsigned long cur_seq)
{
	struct mntort_iv *iv = mntort_iv_of(in);

	mntort_fail("A after: invalidate for iv=%d#%u of mm slot %d after its end",
		    iv->index, iv->gen, iv->slot->index);
	return true;
}

static void
mntort_poison_finish(struct mmu_interval_notifier_finish *finish)
{
	mntort_fail("A after: finish for iv=%d after its end",
		    mntort_iv_of(finish->notifier)->index);
}

static const struct mmu_interval_notifier_ops mntort_iv_poison_ops = {
	.invalidate = mntort_poison_invalidate,
	.invalidate_finish = mntort_poison_finish,
};

static struct mntort_iv_obj *mntort_iv_alloc(struct mntort_iv *iv)
{
	struct mntort_iv_obj *obj = kmalloc_obj(*obj);

	if (!obj)
		return NULL;
	memset(obj, 0xa5, sizeof(*obj));
	obj->iv = iv;
	obj->magic = MNTORT_IV_MAGIC;
	return obj;
}

static void mntort_iv_poison(struct mntort_iv_obj *obj)
{
	struct mmu_interval_notifier *dead = &obj->dead;

	memset(dead, MNTORT_POISON, sizeof(*dead));
	dead->interval_tree = obj->in.interval_tree;
	dead->ops = &mntort_iv_poison_ops;
	WRITE_ONCE(obj->magic, MNTORT_IV_POISON);
	memcpy(&obj->in, dead, sizeof(*dead));
}

static void mntort_iv_free(struct mntort_iv *iv)
{
	struct mntort_iv_obj *obj = iv->obj;

	if (!obj)
		return;
	mntort_check(obj->magic == MNTORT_IV_POISON &&
		     !memcmp(&obj->in, &obj->dead, sizeof(obj->in)),
		     "A after: iv=%d#%u was written to after its end",
		     iv->index, iv->gen);
	kfree(obj);
	iv->obj = NULL;
	mntort_mm_put(iv->m);
}

static void mntort_iv_set(struct mntort_iv *iv, enum mntort_state state)
{
	spin_lock(&mntort_lock);
	iv->state = state;
	spin_unlock(&mntort_lock);
}

static void mntort_iv_opening(struct mntort_thread *th, struct mntort_iv *iv,
			      struct mntort_iv_obj *obj)
{
	mntort_mm_ref(iv->slot->m);
	spin_lock(&mntort_lock);
	iv->obj = obj;
	iv->m = iv->slot->m;
	iv->gen++;
	iv->state = MNTORT_OPENING;
	iv->first = mntort_random(th, MNTORT_ALL_PAGES);
	iv->last = iv->first + mntort_random(th, 16);
	iv->last = min(iv->last, MNTORT_ALL_PAGES - 1);
	iv->two_pass = mntort_once_in(th, 2);
	iv->seq_known = false;
	bitmap_zero(iv->spte, MNTORT_ALL_PAGES);
	atomic_set(&iv->releases, 0);
	atomic_set(&iv->unmaps, 0);
	spin_unlock(&mntort_lock);
}

static void mntort_iv_closed(struct mntort_iv *iv)
{
	int running = atomic_read(&iv->running);

	mntort_check(!running,
		     "A after: iv=%d#%u: %d callbacks still run after its end",
		     iv->index, iv->gen, running);
	mntort_iv_poison(iv->obj);
	mntort_iv_set(iv, MNTORT_FREE);
}

static int mntort_call_insert(struct mntort_thread *th, struct mntort_iv *iv)
{
	const struct mmu_interval_notifier_ops *ops =
		iv->two_pass ? &mntort_iv_two_pass_ops : &mntort_iv_ops;
	unsigned long start = mntort_addr(iv->first);
	unsigned long length = mntort_addr(iv->last + 1) - start;
	struct mm_struct *mm = iv->m->mm;
	int ret;

	if (mntort_once_in(th, 2))
		return mmu_interval_notifier_insert(&iv->obj->in, mm, start,
						    length, ops);
	mmap_write_lock(mm);
	ret = mmu_interval_notifier_insert_locked(&iv->obj->in, mm, start,
						  length, ops);
	mmap_write_unlock(mm);
	return ret;
}

/* The first value is the core's; from then on only set_seq may change it. */
static void mntort_iv_learn_seq(struct mntort_iv *iv)
{
	mutex_lock(&iv->user_lock);
	if (!iv->seq_known)
		iv->seq = iv->obj->in.invalidate_seq;
	iv->seq_known = true;
	mntort_check(iv->seq % 2, "C collision: iv=%d#%u has seq %lx",
		     iv->index, iv->gen, iv->seq);
	mutex_unlock(&iv->user_lock);
}

static unsigned long mntort_read_begin(struct mntort_thread *th,
				       struct mntort_iv *iv)
{
	struct mm_struct *mm = iv->m->mm;
	bool locked = mntort_once_in(th, 8);
	unsigned long seq;

	/* Some drivers hold the mmap_lock here. */
	if (locked)
		mmap_read_lock(mm);
	mntort_doing(th, "read_begin", iv->slot->index);
	seq = mmu_interval_read_begin(&iv->obj->in);
	if (locked)
		mmap_read_unlock(mm);
	return seq;
}

static void mntort_read_pages(struct mntort_iv *iv, unsigned long *gens)
{
	int page;

	for (page = iv->first; page <= iv->last && page < MNTORT_PAGES; page++)
		gens[page] = atomic_long_read(&iv->m->gen[page]);
}

static void mntort_establish(struct mntort_iv *iv, const unsigned long *gens)
{
	int page;

	for (page = iv->first; page <= iv->last && page < MNTORT_PAGES;
	     page++) {
		unsigned long gen = atomic_long_read(&iv->m->gen[page]);

		mntort_check(!atomic_read(&iv->m->open[page]),
			     "C collision: reader of iv=%d#%u need not retry, page %d in an open section",
			     iv->index, iv->gen, page);
		mntort_check(gen == gens[page],
			     "C collision: reader of iv=%d#%u need not retry, page %d: expected generation %lu got %lu",
			     iv->index, iv->gen, page, gens[page], gen);
	}
	bitmap_set(iv->spte, iv->first, iv->last - iv->first + 1);
}

static void mntort_read(struct mntort_thread *th, struct mntort_iv *iv)
{
	struct mmu_interval_notifier *in = &iv->obj->in;
	unsigned long gens[MNTORT_PAGES];
	unsigned long seq = mntort_read_begin(th, iv);

	mntort_doing(th, "read", iv->slot->index);
	mntort_read_pages(iv, gens);
	if (mntort_once_in(th, 16))
		usleep_range(20, 200);
	mutex_lock(&iv->user_lock);
	mntort_check(in->invalidate_seq == iv->seq,
		     "C collision: seq of iv=%d#%u: expected %lu got %lu",
		     iv->index, iv->gen, iv->seq, in->invalidate_seq);
	if (!mmu_interval_read_retry(in, seq)) {
		mntort_establish(iv, gens);
		mntort_count(reads);
	} else {
		mntort_count(retries);
	}
	mutex_unlock(&iv->user_lock);
}

/* Insertion is complete only when read_begin has returned once. */
static void mntort_iv_inserted(struct mntort_thread *th, struct mntort_iv *iv)
{
	mntort_iv_learn_seq(iv);
	mntort_read(th, iv);
	mntort_iv_set(iv, MNTORT_LIVE);
	mntort_count(inserts);
}

static void mntort_iv_insert(struct mntort_thread *th, struct mntort_iv *iv)
{
	struct mntort_slot *slot = iv->slot;
	struct mntort_iv_obj *obj;
	int ret;

	mntort_iv_free(iv);
	down_read(&slot->sem);
	if (iv->index >= slot->m->ivs)
		goto out;
	obj = mntort_iv_alloc(iv);
	if (!obj)
		goto out;
	mntort_iv_opening(th, iv, obj);
	ret = mntort_call_insert(th, iv);
	if (mntort_check(!ret, "E error: insert: expected 0 got %d", ret))
		mntort_iv_inserted(th, iv);
	else
		mntort_iv_closed(iv);
out:
	up_read(&slot->sem);
}

static void mntort_iv_remove(struct mntort_iv *iv)
{
	mntort_iv_set(iv, MNTORT_CLOSING);
	mmu_interval_notifier_remove(&iv->obj->in);
	mntort_iv_closed(iv);
	mntort_count(removes);
}

/**
 * mntort_interval_step - insert or remove a random interval
 * @th: thread
 */
void mntort_interval_step(struct mntort_thread *th)
{
	struct mntort_slot *slot = mntort_random_slot(th);
	int nr = mntort_mm_takes(slot, true);
	struct mntort_iv *iv =
		&slot->ivs[mntort_random_of(th, nr, MNTORT_IVS)];

	mntort_doing(th, "wait for readers", slot->index);
	down_write(&iv->sem);
	if (iv->state == MNTORT_FREE) {
		mntort_doing(th, "insert", slot->index);
		mntort_iv_insert(th, iv);
	} else {
		mntort_doing(th, "remove", slot->index);
		mntort_iv_remove(iv);
	}
	up_write(&iv->sem);
	if (mntort_once_in(th, 4))
		usleep_range(100, 2000);
}

/**
 * mntort_reader_step - try to establish the pages of some intervals
 * @th: thread
 */
void mntort_reader_step(struct mntort_thread *th)
{
	struct mntort_slot *slot = mntort_random_slot(th);
	int i, reads = 0;

	for (i = 0; i < MNTORT_IVS; i++) {
		struct mntort_iv *iv = &slot->ivs[i];

		mntort_doing(th, "wait for remove", slot->index);
		down_read(&iv->sem);
		if (iv->state == MNTORT_LIVE) {
			mntort_read(th, iv);
			reads++;
		}
		up_read(&iv->sem);
	}
	if (!reads)
		usleep_range(10, 100);
}

void mntort_ivs_init(struct mntort_slot *slot)
{
	int i;

	for (i = 0; i < MNTORT_IVS; i++) {
		struct mntort_iv *iv = &slot->ivs[i];

		init_rwsem(&iv->sem);
		mutex_init(&iv->user_lock);
		iv->slot = slot;
		iv->index = i;
	}
}

void mntort_ivs_exit(struct mntort_slot *slot)
{
	int i;

	for (i = 0; i < MNTORT_IVS; i++) {
		struct mntort_iv *iv = &slot->ivs[i];

		if (iv->state != MNTORT_FREE)
			mntort_iv_remove(iv);
		mntort_iv_free(iv);
	}
}
