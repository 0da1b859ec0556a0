// SPDX-License-Identifier: GPL-2.0
/*
 * The manner of the SGI GRU: a TLB of few entries that hold no page, filled on
 * demand. One notifier, by mmu_notifier_get(), serves all devices of a process:
 * it counts the sections of the whole mm, so that a device may join at any
 * time, and has every device drop its entries. A fault waits while a section is
 * open.
 *
 * A notifier that hears of sections may not hear of flushes of secondary TLBs
 * too, so every device has another one for these, by mmu_notifier_register().
 */
#include <linux/slab.h>

#include "tmn.h"

#define TMN_TLB_ENTRIES		64

/**
 * struct tmn_gru - what the devices of one process share
 * @notifier: counts one user per device
 * @guard: of @notifier
 * @tlbs: all &struct tmn_tlb, under the lock of @guard
 */
struct tmn_gru {
	struct mmu_notifier notifier;
	struct tmn_guard guard;
	struct list_head tlbs;
};

/**
 * struct tmn_tlb - one device
 * @mmu: its TLB
 * @gru: what it shares with the other devices of the process
 * @flushes: the notifier for flushes
 * @list: entry in &struct tmn_gru.tlbs
 * @slots: for which page each entry was last used
 */
struct tmn_tlb {
	struct tmn_mmu mmu;
	struct tmn_gru *gru;
	struct mmu_notifier flushes;
	struct list_head list;
	unsigned long slots[TMN_TLB_ENTRIES];
};

static struct tmn_gru *tmn_gru_of(struct mmu_notifier *notifier)
{
	return container_of(notifier, struct tmn_gru, notifier);
}

static bool tmn_gru_overlaps(struct tmn_gru *gru,
			     const struct mmu_notifier_range *range)
{
	struct tmn_tlb *tlb;

	list_for_each_entry(tlb, &gru->tlbs, list)
		if (tmn_overlaps(&tlb->mmu, range->start, range->end))
			return true;
	return false;
}

static void tmn_gru_invalidate(struct tmn_gru *gru,
			       const struct mmu_notifier_range *range,
			       const struct tmn_turn *turn)
{
	struct tmn_tlb *tlb;

	list_for_each_entry(tlb, &gru->tlbs, list) {
		if (!tmn_overlaps(&tlb->mmu, range->start, range->end))
			continue;
		tmn_log_range(&tlb->mmu, TMN_RANGE_START, range, turn->refuse);
		if (!turn->refuse)
			tmn_invalidate(&tlb->mmu, range->start, range->end,
				       turn->forget);
	}
}

static int tmn_gru_range_start(struct mmu_notifier *notifier,
			       const struct mmu_notifier_range *range)
{
	struct tmn_gru *gru = tmn_gru_of(notifier);
	struct tmn_turn turn = {};

	spin_lock(&gru->guard.lock);
	if (tmn_gru_overlaps(gru, range))
		turn = tmn_guard_turn(&gru->guard, range);
	tmn_guard_start(&gru->guard, range, turn.refuse);
	tmn_gru_invalidate(gru, range, &turn);
	spin_unlock(&gru->guard.lock);

	tmn_turn_sleep(&gru->guard, &turn);
	return turn.refuse ? -EAGAIN : 0;
}

static void tmn_gru_range_end(struct mmu_notifier *notifier,
			      const struct mmu_notifier_range *range)
{
	struct tmn_gru *gru = tmn_gru_of(notifier);
	bool sleep = mmu_notifier_range_blockable(range);
	struct tmn_tlb *tlb;

	spin_lock(&gru->guard.lock);
	sleep = sleep && tmn_gru_overlaps(gru, range);
	spin_unlock(&gru->guard.lock);
	if (sleep)
		tmn_guard_delay(&gru->guard);

	spin_lock(&gru->guard.lock);
	list_for_each_entry(tlb, &gru->tlbs, list)
		if (tmn_overlaps(&tlb->mmu, range->start, range->end))
			tmn_log_range(&tlb->mmu, TMN_RANGE_END, range, false);
	tmn_guard_end(&gru->guard, range);
	spin_unlock(&gru->guard.lock);
}

static void tmn_gru_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct tmn_gru *gru = tmn_gru_of(notifier);
	struct tmn_tlb *tlb;

	tmn_guard_delay(&gru->guard);
	spin_lock(&gru->guard.lock);
	list_for_each_entry(tlb, &gru->tlbs, list) {
		tmn_log_add(&tlb->mmu, TMN_RELEASE, 0, ULONG_MAX);
		tmn_drop(&tlb->mmu, tlb->mmu.start, tlb->mmu.end);
	}
	WRITE_ONCE(gru->guard.released, true);
	spin_unlock(&gru->guard.lock);
}

static struct mmu_notifier *tmn_gru_alloc_notifier(struct mm_struct *mm)
{
	struct tmn_gru *gru;

	gru = kzalloc_obj(*gru);
	if (!gru)
		return ERR_PTR(-ENOMEM);
	tmn_guard_init(&gru->guard);
	INIT_LIST_HEAD(&gru->tlbs);
	return &gru->notifier;
}

static void tmn_gru_free_notifier(struct mmu_notifier *notifier)
{
	kfree(tmn_gru_of(notifier));
}

static const struct mmu_notifier_ops tmn_gru_notifier_ops = {
	.release = tmn_gru_release,
	.invalidate_range_start = tmn_gru_range_start,
	.invalidate_range_end = tmn_gru_range_end,
	.alloc_notifier = tmn_gru_alloc_notifier,
	.free_notifier = tmn_gru_free_notifier,
};

/* A driver that forgets a section does not drop its ptes at the flush either. */
static void tmn_tlb_drop(struct tmn_mmu *mmu, unsigned long start,
			 unsigned long end)
{
	struct tmn_pte *pte;
	unsigned long index;

	xa_for_each_range(&mmu->ptes, index, pte, PHYS_PFN(start),
			  PHYS_PFN(end - 1))
		if (!pte->kept)
			tmn_drop(mmu, PFN_PHYS(index), PFN_PHYS(index + 1));
}

/* Page-table lock may be held. */
static void tmn_tlb_flush(struct mmu_notifier *notifier, struct mm_struct *mm,
			  unsigned long start, unsigned long end)
{
	struct tmn_tlb *tlb = container_of(notifier, struct tmn_tlb, flushes);

	if (!tmn_overlaps(&tlb->mmu, start, end))
		return;

	spin_lock(&tlb->gru->guard.lock);
	tmn_log_add(&tlb->mmu, TMN_SECONDARY_TLBS, start, end);
	tmn_tlb_drop(&tlb->mmu, start, end);
	spin_unlock(&tlb->gru->guard.lock);
}

static const struct mmu_notifier_ops tmn_tlb_notifier_ops = {
	.arch_invalidate_secondary_tlbs = tmn_tlb_flush,
};

static int tmn_tlb_join(struct tmn_tlb *tlb, struct mm_struct *mm)
{
	int err;

	tlb->flushes.ops = &tmn_tlb_notifier_ops;
	err = mmu_notifier_register(&tlb->flushes, mm);
	if (err)
		return err;
	spin_lock(&tlb->gru->guard.lock);
	list_add_tail(&tlb->list, &tlb->gru->tlbs);
	spin_unlock(&tlb->gru->guard.lock);
	return 0;
}

static struct tmn_mmu *tmn_gru_create(const struct tmn_mirror *arg)
{
	struct mmu_notifier *notifier;
	struct tmn_tlb *tlb;
	int err;

	tlb = kzalloc_obj(*tlb);
	if (!tlb)
		return ERR_PTR(-ENOMEM);
	notifier = mmu_notifier_get(&tmn_gru_notifier_ops, current->mm);
	if (IS_ERR(notifier)) {
		err = PTR_ERR(notifier);
		goto free;
	}
	tlb->gru = tmn_gru_of(notifier);
	err = tmn_mmu_init(&tlb->mmu, &tmn_gru_ops, &tlb->gru->guard, arg);
	if (err)
		goto put;
	err = tmn_tlb_join(tlb, current->mm);
	if (err)
		goto exit;
	return &tlb->mmu;
exit:
	tmn_mmu_exit(&tlb->mmu);
put:
	mmu_notifier_put(notifier);
free:
	kfree(tlb);
	return ERR_PTR(err);
}

static void tmn_gru_destroy(struct tmn_mmu *mmu)
{
	struct tmn_tlb *tlb = container_of(mmu, struct tmn_tlb, mmu);

	spin_lock(&mmu->guard->lock);
	list_del(&tlb->list);
	tmn_drop(mmu, mmu->start, mmu->end);
	spin_unlock(&mmu->guard->lock);
	mmu_notifier_unregister(&tlb->flushes, mmu->mm);
	mmu_notifier_put(&tlb->gru->notifier);
}

static void tmn_gru_free(struct tmn_mmu *mmu)
{
	tmn_mmu_exit(mmu);
	kfree(container_of(mmu, struct tmn_tlb, mmu));
}

/* Direct mapped: whatever else uses the same slot has to go. */
static void tmn_gru_evict(struct tmn_mmu *mmu, unsigned long addr)
{
	struct tmn_tlb *tlb = container_of(mmu, struct tmn_tlb, mmu);
	unsigned int slot = PHYS_PFN(addr) % TMN_TLB_ENTRIES;

	tmn_drop(mmu, tlb->slots[slot], tlb->slots[slot] + PAGE_SIZE);
	tlb->slots[slot] = addr;
}

const struct tmn_manner_ops tmn_gru_ops = {
	.create = tmn_gru_create,
	.destroy = tmn_gru_destroy,
	.free = tmn_gru_free,
	.begin = tmn_guard_begin,
	.retry = tmn_guard_retry,
	.evict = tmn_gru_evict,
};
