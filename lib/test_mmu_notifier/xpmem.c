// SPDX-License-Identifier: GPL-2.0
/*
 * The manner of XPMEM: the mirrored range is a segment that other processes
 * attach and really map, page by page as they touch it. The segment holds the
 * pages; its ptes are valid as an interval notifier says.
 *
 * An attachment's fault never takes the owner's mmap_lock inside of its own: it
 * drops its own, has the segment fault the page in and is retried. The retry
 * finds the pte and maps the page under the page-table lock and, inside of it,
 * tmn_guard.lock, so that no page of a pte that is leaving gets mapped.
 *
 * An invalidation marks the ptes as leaving, and then has to zap the mappings
 * of other mms, which opens sections there and takes their locks. It does not
 * do that itself: it comes with locks of the owner's mm held and inside of a
 * section. As if the attachments were on another node, it sends a message to a
 * kthread and sleeps until the reply; then the pages are let go. An attachment
 * that is part of a mirrored range has no pte there, since it cannot be pinned,
 * so no chain of such messages comes back to where it began. A section that may
 * not sleep is refused if anything is mapped.
 *
 * A mapping that may ever be written is given writable pages from the start.
 *
 * Locking, besides what tmn.h says: tmn_segment.lock is taken by the kthread,
 * with the attachments' i_mmap_rwsem, sections and page-table locks inside, and
 * to attach and detach. Callbacks never take it.
 */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/pgtable.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "tmn.h"

/**
 * struct tmn_segment - a range that other processes may attach
 * @mmu: its ptes, all of which hold their page
 * @guard: its lock is the one that @interval is used with
 * @interval: the subscription
 * @node: the kthread that zaps attachments
 * @lock: protects @attachments, and keeps these while they are zapped
 * @attachments: &struct tmn_device.attached of all devices attached
 * @failed: the task whose fault in an attachment could not be served, with a
 *	reference, or NULL; under the lock of @guard
 * @failed_addr: the address in the segment
 */
struct tmn_segment {
	struct tmn_mmu mmu;
	struct tmn_guard guard;
	struct mmu_interval_notifier interval;
	struct kthread_worker *node;
	struct mutex lock;	/* attachments */
	struct list_head attachments;
	struct task_struct *failed;
	unsigned long failed_addr;
};

/**
 * struct tmn_message - asks the other node to let go of a part of a segment
 * @work: queued to &struct tmn_segment.node
 * @seg: the segment
 * @start: first byte
 * @end: first byte behind
 * @reply: completed when nothing is mapped any more
 */
struct tmn_message {
	struct kthread_work work;
	struct tmn_segment *seg;
	unsigned long start;
	unsigned long end;
	struct completion reply;
};

static struct tmn_segment *tmn_segment_of(struct tmn_mmu *mmu)
{
	return container_of(mmu, struct tmn_segment, mmu);
}

/* The other node: zap all mappings of the part of the segment. */
static void tmn_node_zap(struct kthread_work *work)
{
	struct tmn_message *message;
	struct tmn_segment *seg;
	struct tmn_device *dev;

	message = container_of(work, struct tmn_message, work);
	seg = message->seg;
	mutex_lock(&seg->lock);
	list_for_each_entry(dev, &seg->attachments, attached)
		unmap_mapping_range(&dev->mapping,
				    message->start - seg->mmu.start,
				    message->end - message->start, 1);
	mutex_unlock(&seg->lock);
	complete(&message->reply);
}

/* Have the other node let go of what is leaving in the range, then let go. */
static void tmn_segment_revoke(struct tmn_segment *seg, unsigned long start,
			       unsigned long end)
{
	struct tmn_message message = {
		.seg = seg,
		.start = max(start, seg->mmu.start),
		.end = min(end, seg->mmu.end),
		.reply = COMPLETION_INITIALIZER_ONSTACK(message.reply),
	};

	kthread_init_work(&message.work, tmn_node_zap);
	kthread_queue_work(seg->node, &message.work);
	wait_for_completion(&message.reply);

	spin_lock(&seg->guard.lock);
	tmn_drop(&seg->mmu, message.start, message.end);
	spin_unlock(&seg->guard.lock);
}

/* Is there any pte in the range, perhaps one that is leaving already? */
static bool tmn_segment_mapped(struct tmn_segment *seg, unsigned long start,
			       unsigned long end)
{
	unsigned long index = PHYS_PFN(start);

	return xa_find(&seg->mmu.ptes, &index, PHYS_PFN(end - 1), XA_PRESENT);
}

static void tmn_segment_leave(struct tmn_segment *seg, unsigned long start,
			      unsigned long end)
{
	struct tmn_pte *pte;
	unsigned long index;

	lockdep_assert_held(&seg->guard.lock);
	xa_for_each_range(&seg->mmu.ptes, index, pte, PHYS_PFN(start),
			  PHYS_PFN(end - 1))
		pte->leaving = true;
}

static bool tmn_xpmem_invalidate(struct mmu_interval_notifier *interval,
				 const struct mmu_notifier_range *range,
				 unsigned long cur_seq)
{
	struct tmn_segment *seg;
	struct tmn_turn turn;
	bool mapped;

	seg = container_of(interval, struct tmn_segment, interval);
	spin_lock(&seg->guard.lock);
	turn = tmn_guard_turn(&seg->guard, range);
	mapped = tmn_segment_mapped(seg, range->start, range->end);
	if (mapped && !mmu_notifier_range_blockable(range))
		turn.refuse = true;
	tmn_log_range(&seg->mmu, TMN_INVALIDATE, range, turn.refuse);
	if (!turn.refuse) {
		mmu_interval_set_seq(interval, cur_seq);
		if (!turn.forget)
			tmn_segment_leave(seg, range->start, range->end);
		if (range->event == MMU_NOTIFY_RELEASE)
			WRITE_ONCE(seg->guard.released, true);
	}
	spin_unlock(&seg->guard.lock);
	if (turn.refuse)
		return false;

	tmn_turn_sleep(&seg->guard, &turn);
	if (mapped && !turn.forget)
		tmn_segment_revoke(seg, range->start, range->end);
	return true;
}

static const struct mmu_interval_notifier_ops tmn_xpmem_interval_ops = {
	.invalidate = tmn_xpmem_invalidate,
};

static struct tmn_mmu *tmn_xpmem_create(const struct tmn_mirror *arg)
{
	struct tmn_segment *seg;
	int err;

	seg = kzalloc_obj(*seg);
	if (!seg)
		return ERR_PTR(-ENOMEM);
	tmn_guard_init(&seg->guard);
	mutex_init(&seg->lock);
	INIT_LIST_HEAD(&seg->attachments);
	err = tmn_mmu_init(&seg->mmu, &tmn_xpmem_ops, &seg->guard, arg);
	if (err)
		goto free;
	seg->node = kthread_run_worker(0, "tmn_node");
	if (IS_ERR(seg->node)) {
		err = PTR_ERR(seg->node);
		goto exit;
	}
	err = mmu_interval_notifier_insert(&seg->interval, current->mm,
					   arg->addr, arg->size,
					   &tmn_xpmem_interval_ops);
	if (err)
		goto node;
	return &seg->mmu;
node:
	kthread_destroy_worker(seg->node);
exit:
	tmn_mmu_exit(&seg->mmu);
free:
	kfree(seg);
	return ERR_PTR(err);
}

static void tmn_xpmem_destroy(struct tmn_mmu *mmu)
{
	struct tmn_segment *seg = tmn_segment_of(mmu);

	/* While the owner still calls back, so that it waits for this. */
	spin_lock(&seg->guard.lock);
	tmn_segment_leave(seg, mmu->start, mmu->end);
	spin_unlock(&seg->guard.lock);
	tmn_segment_revoke(seg, mmu->start, mmu->end);
	mmu_interval_notifier_remove(&seg->interval);
	kthread_destroy_worker(seg->node);
}

static void tmn_xpmem_free(struct tmn_mmu *mmu)
{
	struct tmn_segment *seg = tmn_segment_of(mmu);

	if (seg->failed)
		put_task_struct(seg->failed);
	tmn_mmu_exit(mmu);
	kfree(seg);
}

static int tmn_xpmem_begin(struct tmn_mmu *mmu, unsigned long addr,
			   unsigned long *seq)
{
	*seq = mmu_interval_read_begin(&tmn_segment_of(mmu)->interval);
	return 0;
}

static bool tmn_xpmem_retry(struct tmn_mmu *mmu, unsigned long addr,
			    unsigned long seq)
{
	lockdep_assert_held(&mmu->guard->lock);
	return mmu_interval_read_retry(&tmn_segment_of(mmu)->interval, seq);
}

const struct tmn_manner_ops tmn_xpmem_ops = {
	.create = tmn_xpmem_create,
	.destroy = tmn_xpmem_destroy,
	.free = tmn_xpmem_free,
	.begin = tmn_xpmem_begin,
	.retry = tmn_xpmem_retry,
	.hold = true,
};

/**
 * tmn_xpmem_attach - attach a device to a segment
 * @dev: the device, gets the caller's reference on @mmu
 * @mmu: of the segment
 */
void tmn_xpmem_attach(struct tmn_device *dev, struct tmn_mmu *mmu)
{
	struct tmn_segment *seg = tmn_segment_of(mmu);

	mutex_lock(&seg->lock);
	list_add_tail(&dev->attached, &seg->attachments);
	mutex_unlock(&seg->lock);
}

/**
 * tmn_xpmem_detach - undo tmn_xpmem_attach()
 * @dev: the device, which nobody maps any more
 */
void tmn_xpmem_detach(struct tmn_device *dev)
{
	struct tmn_segment *seg = tmn_segment_of(dev->mmu);

	mutex_lock(&seg->lock);
	list_del(&dev->attached);
	mutex_unlock(&seg->lock);
}

/*
 * The failure of a fault is remembered for its retry: only that can return it.
 * There is room for one. A task whose failure got lost fails again.
 */
static void tmn_segment_set_failed(struct tmn_segment *seg, unsigned long addr,
				   bool failed)
{
	struct task_struct *old = NULL;

	spin_lock(&seg->guard.lock);
	if (failed || seg->failed == current) {
		old = seg->failed;
		seg->failed = failed ? get_task_struct(current) : NULL;
		seg->failed_addr = addr;
	}
	spin_unlock(&seg->guard.lock);
	if (old)
		put_task_struct(old);
}

static bool tmn_segment_take_failed(struct tmn_segment *seg, unsigned long addr)
{
	bool failed;

	spin_lock(&seg->guard.lock);
	failed = seg->failed == current && seg->failed_addr == addr;
	spin_unlock(&seg->guard.lock);
	if (failed)
		tmn_segment_set_failed(seg, addr, false);
	return failed;
}

/* May a mapping be written, now or after mprotect()? */
static bool tmn_attachment_writable(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_MAYWRITE;
}

/**
 * struct tmn_insertion - a page to be mapped into an attachment
 * @seg: the segment
 * @vma: the mapping
 * @addr: address in the segment
 * @mapped: whether it is mapped now
 */
struct tmn_insertion {
	struct tmn_segment *seg;
	struct vm_area_struct *vma;
	unsigned long addr;
	bool mapped;
};

/* Map the page if the segment has it. Under the page-table lock. */
static int tmn_attachment_insert_pte(pte_t *ptep, unsigned long addr,
				     void *data)
{
	struct tmn_insertion *insertion = data;
	struct vm_area_struct *vma = insertion->vma;
	struct tmn_segment *seg = insertion->seg;
	struct tmn_pte *pte;
	pte_t entry;

	spin_lock(&seg->guard.lock);
	pte = xa_load(&seg->mmu.ptes, PHYS_PFN(insertion->addr));
	if (!pte || pte->leaving)
		goto unlock;
	if (tmn_attachment_writable(vma) && !pte->writable)
		goto unlock;
	insertion->mapped = true;
	/* Another thread may have been faster. */
	if (!pte_none(ptep_get(ptep)))
		goto unlock;
	entry = pfn_pte(page_to_pfn(pte->page), vma->vm_page_prot);
	set_pte_at(vma->vm_mm, addr, ptep, pte_mkspecial(entry));
	update_mmu_cache(vma, addr, ptep);
	pte->young = true;
unlock:
	spin_unlock(&seg->guard.lock);
	return 0;
}

static vm_fault_t tmn_attachment_insert(struct tmn_insertion *insertion,
					unsigned long addr)
{
	if (apply_to_page_range(insertion->vma->vm_mm, addr & PAGE_MASK,
				PAGE_SIZE, tmn_attachment_insert_pte,
				insertion))
		return VM_FAULT_OOM;
	return insertion->mapped ? VM_FAULT_NOPAGE : 0;
}

/* Have the segment fault the page in, without the lock of the fault. */
static vm_fault_t tmn_attachment_fill(struct tmn_segment *seg,
				      unsigned long addr, struct vm_fault *vmf)
{
	bool write = tmn_attachment_writable(vmf->vma);
	int err;

	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	/* Without the lock the mapping and the device may go. */
	kref_get(&seg->mmu.ref);
	release_fault_lock(vmf);
	err = tmn_fault(&seg->mmu, addr, write);
	tmn_segment_set_failed(seg, addr, err && err != -EINTR &&
			       err != -ERESTARTSYS);
	tmn_mmu_put(&seg->mmu);
	return VM_FAULT_RETRY;
}

static vm_fault_t tmn_attachment_fault(struct vm_fault *vmf)
{
	struct tmn_device *dev = vmf->vma->vm_file->private_data;
	struct tmn_segment *seg = tmn_segment_of(dev->mmu);
	struct tmn_insertion insertion = {
		.seg = seg,
		.vma = vmf->vma,
		.addr = seg->mmu.start + PFN_PHYS(vmf->pgoff),
	};
	vm_fault_t ret;

	ret = tmn_attachment_insert(&insertion, vmf->address);
	if (ret)
		return ret;
	if (tmn_segment_take_failed(seg, insertion.addr))
		return VM_FAULT_SIGBUS;
	return tmn_attachment_fill(seg, insertion.addr, vmf);
}

static const struct vm_operations_struct tmn_attachment_vm_ops = {
	.fault = tmn_attachment_fault,
};

/**
 * tmn_xpmem_mmap_prepare - map an attachment
 * @desc: the mapping; its offset is that in the segment
 * @mmu: of the segment
 *
 * Not by the owner: then an invalidation would open sections in the very mm that
 * it comes from.
 *
 * Return: 0, or -EINVAL if it is private, does not fit or is the owner's.
 */
int tmn_xpmem_mmap_prepare(struct vm_area_desc *desc, struct tmn_mmu *mmu)
{
	pgoff_t pages = PHYS_PFN(mmu->end - mmu->start);

	if (desc->mm == mmu->mm || !vma_desc_test(desc, VMA_MAYSHARE_BIT))
		return -EINVAL;
	if (desc->pgoff >= pages ||
	    PHYS_PFN(desc->end - desc->start) > pages - desc->pgoff)
		return -EINVAL;
	if (!vma_desc_test(desc, VMA_WRITE_BIT))
		vma_desc_clear_flags(desc, VMA_MAYWRITE_BIT);
	vma_desc_set_flags(desc, VMA_PFNMAP_BIT, VMA_DONTEXPAND_BIT,
			   VMA_DONTCOPY_BIT, VMA_DONTDUMP_BIT);
	desc->vm_ops = &tmn_attachment_vm_ops;
	return 0;
}
