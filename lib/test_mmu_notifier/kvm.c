// SPDX-License-Identifier: GPL-2.0
/*
 * The manner of KVM: one notifier per device, by mmu_notifier_register(), ptes
 * without page references (with TMN_HOLD_PAGES with them) and with young bits.
 */
#include <linux/slab.h>

#include "tmn.h"

struct tmn_kvm {
	struct tmn_mmu mmu;
	struct tmn_guard guard;
	struct mmu_notifier notifier;
};

static struct tmn_kvm *tmn_kvm_of(struct mmu_notifier *notifier)
{
	return container_of(notifier, struct tmn_kvm, notifier);
}

static int tmn_kvm_range_start(struct mmu_notifier *notifier,
			       const struct mmu_notifier_range *range)
{
	struct tmn_kvm *kvm = tmn_kvm_of(notifier);
	struct tmn_turn turn;

	if (!tmn_overlaps(&kvm->mmu, range->start, range->end))
		return 0;

	spin_lock(&kvm->guard.lock);
	turn = tmn_guard_turn(&kvm->guard, range);
	tmn_guard_start(&kvm->guard, range, turn.refuse);
	tmn_log_range(&kvm->mmu, TMN_RANGE_START, range, turn.refuse);
	if (!turn.refuse)
		tmn_invalidate(&kvm->mmu, range->start, range->end,
			       turn.forget);
	spin_unlock(&kvm->guard.lock);

	tmn_turn_sleep(&kvm->guard, &turn);
	return turn.refuse ? -EAGAIN : 0;
}

static void tmn_kvm_range_end(struct mmu_notifier *notifier,
			      const struct mmu_notifier_range *range)
{
	struct tmn_kvm *kvm = tmn_kvm_of(notifier);

	if (!tmn_overlaps(&kvm->mmu, range->start, range->end))
		return;

	if (mmu_notifier_range_blockable(range))
		tmn_guard_delay(&kvm->guard);
	spin_lock(&kvm->guard.lock);
	tmn_log_range(&kvm->mmu, TMN_RANGE_END, range, false);
	tmn_guard_end(&kvm->guard, range);
	spin_unlock(&kvm->guard.lock);
}

static void tmn_kvm_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct tmn_kvm *kvm = tmn_kvm_of(notifier);

	tmn_guard_delay(&kvm->guard);
	spin_lock(&kvm->guard.lock);
	tmn_log_add(&kvm->mmu, TMN_RELEASE, 0, ULONG_MAX);
	tmn_drop(&kvm->mmu, kvm->mmu.start, kvm->mmu.end);
	WRITE_ONCE(kvm->guard.released, true);
	spin_unlock(&kvm->guard.lock);
}

static bool tmn_kvm_young(struct mmu_notifier *notifier, unsigned long start,
			  unsigned long end, enum tmn_callback callback)
{
	struct tmn_kvm *kvm = tmn_kvm_of(notifier);
	struct tmn_pte *pte;
	unsigned long index;
	bool young = false;

	if (!tmn_overlaps(&kvm->mmu, start, end))
		return false;

	spin_lock(&kvm->guard.lock);
	tmn_log_add(&kvm->mmu, callback, start, end);
	xa_for_each_range(&kvm->mmu.ptes, index, pte, PHYS_PFN(start),
			  PHYS_PFN(end - 1)) {
		young |= pte->young;
		if (callback != TMN_TEST_YOUNG)
			pte->young = false;
	}
	spin_unlock(&kvm->guard.lock);
	return young;
}

static bool tmn_kvm_clear_flush_young(struct mmu_notifier *notifier,
				      struct mm_struct *mm,
				      unsigned long start, unsigned long end)
{
	return tmn_kvm_young(notifier, start, end, TMN_CLEAR_FLUSH_YOUNG);
}

static bool tmn_kvm_clear_young(struct mmu_notifier *notifier,
				struct mm_struct *mm, unsigned long start,
				unsigned long end)
{
	return tmn_kvm_young(notifier, start, end, TMN_CLEAR_YOUNG);
}

static bool tmn_kvm_test_young(struct mmu_notifier *notifier,
			       struct mm_struct *mm, unsigned long address)
{
	return tmn_kvm_young(notifier, address, address + 1, TMN_TEST_YOUNG);
}

static const struct mmu_notifier_ops tmn_kvm_notifier_ops = {
	.release = tmn_kvm_release,
	.invalidate_range_start = tmn_kvm_range_start,
	.invalidate_range_end = tmn_kvm_range_end,
	.clear_flush_young = tmn_kvm_clear_flush_young,
	.clear_young = tmn_kvm_clear_young,
	.test_young = tmn_kvm_test_young,
};

static struct tmn_mmu *tmn_kvm_create(const struct tmn_mirror *arg)
{
	struct tmn_kvm *kvm;
	int err;

	kvm = kzalloc_obj(*kvm);
	if (!kvm)
		return ERR_PTR(-ENOMEM);
	tmn_guard_init(&kvm->guard);
	err = tmn_mmu_init(&kvm->mmu, &tmn_kvm_ops, &kvm->guard, arg);
	if (err)
		goto free;
	kvm->notifier.ops = &tmn_kvm_notifier_ops;
	err = mmu_notifier_register(&kvm->notifier, current->mm);
	if (err)
		goto exit;
	return &kvm->mmu;
exit:
	tmn_mmu_exit(&kvm->mmu);
free:
	kfree(kvm);
	return ERR_PTR(err);
}

static void tmn_kvm_destroy(struct tmn_mmu *mmu)
{
	struct tmn_kvm *kvm = container_of(mmu, struct tmn_kvm, mmu);

	/* Calls release, unless the owner has exited. */
	mmu_notifier_unregister(&kvm->notifier, mmu->mm);
}

static void tmn_kvm_free(struct tmn_mmu *mmu)
{
	tmn_mmu_exit(mmu);
	kfree(container_of(mmu, struct tmn_kvm, mmu));
}

const struct tmn_manner_ops tmn_kvm_ops = {
	.create = tmn_kvm_create,
	.destroy = tmn_kvm_destroy,
	.free = tmn_kvm_free,
	.begin = tmn_guard_begin,
	.retry = tmn_guard_retry,
	.flags = TMN_HOLD_PAGES,
};
