// SPDX-License-Identifier: GPL-2.0
/*
 * The ptes of a secondary MMU: how they come, are used and go.
 *
 * A pte comes by a device fault. The page is looked up in the owner's address
 * space without any lock of ours and the pte stored under the lock, unless an
 * invalidation came in between: &struct tmn_manner_ops.begin and retry. From
 * then on the page is what the owner maps, and writable for the owner if the
 * pte is, until the next invalidation of its address drops the pte. That is all
 * a pte without a page reference has to keep its page alive, so the page is
 * only touched under the lock.
 *
 * A writable pte dirties its page when it is established. Cleaning a page that
 * the owner may write takes an invalidation first, and thereby the pte.
 */
#include <linux/highmem.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "tmn.h"

/**
 * tmn_mmu_init - initialise the part that all manners share
 * @mmu: inside of zeroed memory of the manner
 * @ops: the manner
 * @guard: of its notifier
 * @arg: what user space wants mirrored
 *
 * Return: 0 or -ENOMEM, then there is nothing to undo.
 */
int tmn_mmu_init(struct tmn_mmu *mmu, const struct tmn_manner_ops *ops,
		 struct tmn_guard *guard, const struct tmn_mirror *arg)
{
	if (tmn_log_init(&mmu->log))
		return -ENOMEM;
	kref_init(&mmu->ref);
	init_rwsem(&mmu->alive);
	xa_init(&mmu->ptes);
	mmgrab(current->mm);
	mmu->mm = current->mm;
	mmu->ops = ops;
	mmu->guard = guard;
	mmu->start = arg->addr;
	mmu->end = arg->addr + arg->size;
	mmu->hold = ops->hold || (arg->flags & TMN_HOLD_PAGES);
	return 0;
}

/**
 * tmn_mmu_exit - undo tmn_mmu_init()
 * @mmu: has no ptes any more and no notifier that calls back
 */
void tmn_mmu_exit(struct tmn_mmu *mmu)
{
	WARN_ON_ONCE(!xa_empty(&mmu->ptes));
	xa_destroy(&mmu->ptes);
	tmn_log_exit(&mmu->log);
	mmdrop(mmu->mm);
}

/**
 * tmn_mmu_kill - have no more ptes established
 * @mmu: is going to be unregistered
 *
 * Context: sleeps until all faults have ended.
 */
void tmn_mmu_kill(struct tmn_mmu *mmu)
{
	down_write(&mmu->alive);
	mmu->dead = true;
	up_write(&mmu->alive);
}

static void tmn_mmu_release(struct kref *ref)
{
	struct tmn_mmu *mmu = container_of(ref, struct tmn_mmu, ref);

	mmu->ops->free(mmu);
}

void tmn_mmu_put(struct tmn_mmu *mmu)
{
	kref_put(&mmu->ref, tmn_mmu_release);
}

static void tmn_pte_free(struct tmn_pte *pte)
{
	if (pte->held)
		put_page(pte->page);
	kfree(pte);
}

/* Get the owner's page at @addr, faulting it in, writable if @write. */
static int tmn_get_page(struct mm_struct *mm, unsigned long addr, bool write,
			struct page **page)
{
	unsigned int flags = write ? FOLL_WRITE : 0;
	int locked = 1;
	long nr;

	if (mm == current->mm) {
		nr = get_user_pages_fast(addr, 1, flags, page);
	} else {
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		nr = get_user_pages_remote(mm, addr, 1, flags, page, &locked);
		if (locked)
			mmap_read_unlock(mm);
	}
	if (nr < 0)
		return nr;
	return nr == 1 ? 0 : -EFAULT;
}

/* Under the lock: store @pte, which then belongs to @mmu. */
static int tmn_store(struct tmn_mmu *mmu, unsigned long addr,
		     struct tmn_pte *pte)
{
	unsigned long index = PHYS_PFN(addr);
	struct tmn_pte *old = xa_load(&mmu->ptes, index);

	/* Another fault was faster. It must not lose its write access. */
	if (old && old->writable && !pte->writable)
		return -EEXIST;
	if (!old && mmu->ops->evict)
		mmu->ops->evict(mmu, addr);
	old = xa_store(&mmu->ptes, index, pte, GFP_NOWAIT);
	if (xa_is_err(old))
		return -EAGAIN;
	if (old)
		tmn_pte_free(old);
	if (pte->writable)
		folio_mark_dirty(page_folio(pte->page));
	return 0;
}

/*
 * Make a pte of @page, of which we own a reference, unless its address has been
 * invalidated since @seq.
 */
static int tmn_establish(struct tmn_mmu *mmu, unsigned long addr,
			 struct page *page, bool write, unsigned long seq)
{
	unsigned long index = PHYS_PFN(addr);
	struct tmn_pte *pte;
	int err;

	pte = kzalloc_obj(*pte);
	if (!pte)
		return -ENOMEM;
	/* So that it can be stored without allocation, or nearly always. */
	err = xa_reserve(&mmu->ptes, index, GFP_KERNEL);
	if (err)
		goto free;
	pte->page = page;
	pte->writable = write;
	pte->held = mmu->hold;
	if (pte->held)
		get_page(page);

	spin_lock(&mmu->guard->lock);
	if (mmu->ops->retry(mmu, addr, seq))
		err = -EAGAIN;
	else
		err = tmn_store(mmu, addr, pte);
	spin_unlock(&mmu->guard->lock);
	if (!err)
		return 0;

	xa_release(&mmu->ptes, index);
free:
	tmn_pte_free(pte);
	return err == -EEXIST ? 0 : err;
}

static int tmn_fault_once(struct tmn_mmu *mmu, unsigned long addr, bool write)
{
	unsigned long seq;
	struct page *page;
	int err;

	if (fatal_signal_pending(current))
		return -EINTR;
	err = mmu->ops->begin(mmu, addr, &seq);
	if (err)
		return err;
	err = tmn_get_page(mmu->mm, addr, write, &page);
	if (err)
		return err;
	err = tmn_establish(mmu, addr, page, write, seq);
	put_page(page);
	return err;
}

/**
 * tmn_fault - a device fault
 * @mmu: that has no pte for the access
 * @addr: of the page
 * @write: whether the pte has to be writable
 *
 * The pte may be gone again when this returns.
 *
 * Context: sleeps, no mmap_lock of any mm may be held.
 * Return: 0, -ESRCH if the owner has exited, -EFAULT if it has nothing mapped
 * there that allows the access, or another error.
 */
int tmn_fault(struct tmn_mmu *mmu, unsigned long addr, bool write)
{
	int err;

	addr &= PAGE_MASK;
	/* Held until the pte is stored, so that exit drops it. */
	if (!mmget_not_zero(mmu->mm))
		return -ESRCH;
	down_read(&mmu->alive);
	do {
		err = mmu->dead ? -ESRCH : tmn_fault_once(mmu, addr, write);
		cond_resched();
	} while (err == -EAGAIN);
	up_read(&mmu->alive);
	mmput(mmu->mm);
	return err;
}

/**
 * tmn_copy - access memory through a pte
 * @mmu: that does so
 * @addr: of the memory
 * @buf: kernel memory to copy from or to
 * @len: number of bytes, all in one page
 * @write: from @buf to @addr
 *
 * Return: whether there was a pte that allowed it.
 */
bool tmn_copy(struct tmn_mmu *mmu, unsigned long addr, void *buf, size_t len,
	      bool write)
{
	struct tmn_pte *pte;
	bool done = false;

	spin_lock(&mmu->guard->lock);
	pte = xa_load(&mmu->ptes, PHYS_PFN(addr));
	if (!pte || pte->leaving || (write && !pte->writable))
		goto unlock;
	if (write)
		memcpy_to_page(pte->page, offset_in_page(addr), buf, len);
	else
		memcpy_from_page(buf, pte->page, offset_in_page(addr), len);
	pte->young = true;
	done = true;
unlock:
	spin_unlock(&mmu->guard->lock);
	return done;
}

/**
 * tmn_drop - drop all ptes in a range
 * @mmu: whose
 * @start: first byte
 * @end: first byte behind
 *
 * Context: under &tmn_guard.lock. Does not sleep.
 */
void tmn_drop(struct tmn_mmu *mmu, unsigned long start, unsigned long end)
{
	struct tmn_pte *pte;
	unsigned long index;

	lockdep_assert_held(&mmu->guard->lock);
	xa_for_each_range(&mmu->ptes, index, pte, PHYS_PFN(start),
			  PHYS_PFN(end - 1)) {
		xa_erase(&mmu->ptes, index);
		tmn_pte_free(pte);
	}
}

/* Keep ptes that should have been dropped, but harm nobody else with them. */
static void tmn_keep(struct tmn_mmu *mmu, unsigned long start,
		     unsigned long end)
{
	struct tmn_pte *pte;
	unsigned long index;

	xa_for_each_range(&mmu->ptes, index, pte, PHYS_PFN(start),
			  PHYS_PFN(end - 1)) {
		if (!pte->held)
			get_page(pte->page);
		pte->held = true;
		pte->kept = true;
	}
}

/**
 * tmn_invalidate - a section starts
 * @mmu: that it concerns
 * @start: first byte of its range
 * @end: first byte behind it
 * @forget: keep the ptes, as a broken driver would
 *
 * Context: under &tmn_guard.lock. Does not sleep.
 */
void tmn_invalidate(struct tmn_mmu *mmu, unsigned long start,
		    unsigned long end, bool forget)
{
	if (forget)
		tmn_keep(mmu, start, end);
	else
		tmn_drop(mmu, start, end);
}
