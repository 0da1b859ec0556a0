// SPDX-License-Identifier: GPL-2.0
/*
 * The log: every callback that overlaps the mirrored range, in the order of the
 * callbacks. Records that do not fit are counted, not kept, so that what led to
 * the flood is not lost.
 */
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "tmn.h"

int tmn_log_init(struct tmn_log_ring *log)
{
	log->records = kvcalloc(TMN_LOG_RECORDS, sizeof(*log->records),
				GFP_KERNEL);
	return log->records ? 0 : -ENOMEM;
}

void tmn_log_exit(struct tmn_log_ring *log)
{
	kvfree(log->records);
}

static void tmn_log_record(struct tmn_mmu *mmu, const struct tmn_record *record)
{
	struct tmn_log_ring *log = &mmu->log;
	unsigned int last;

	lockdep_assert_held(&mmu->guard->lock);
	if (log->nr == TMN_LOG_RECORDS) {
		log->lost++;
		return;
	}
	last = (log->first + log->nr++) % TMN_LOG_RECORDS;
	log->records[last] = *record;
	log->records[last].locks = tmn_locks_held(mmu->mm);
}

/**
 * tmn_log_add - record a callback that is not part of a section
 * @mmu: that the callback concerns
 * @callback: which one
 * @start: first byte of the range it was given
 * @end: first byte behind it
 *
 * Context: under &tmn_guard.lock.
 */
void tmn_log_add(struct tmn_mmu *mmu, enum tmn_callback callback,
		 unsigned long start, unsigned long end)
{
	const struct tmn_record record = {
		.start = start,
		.end = end,
		.callback = callback,
	};

	tmn_log_record(mmu, &record);
}

/**
 * tmn_log_range - record a callback that is part of a section
 * @mmu: that the callback concerns
 * @callback: which one
 * @range: of the section
 * @refused: the callback is going to fail
 *
 * Context: under &tmn_guard.lock.
 */
void tmn_log_range(struct tmn_mmu *mmu, enum tmn_callback callback,
		   const struct mmu_notifier_range *range, bool refused)
{
	struct tmn_record record = {
		.start = range->start,
		.end = range->end,
		.callback = callback,
		.event = range->event,
	};

	if (mmu_notifier_range_blockable(range))
		record.flags |= TMN_BLOCKABLE;
	if (refused)
		record.flags |= TMN_REFUSED;
	tmn_log_record(mmu, &record);
}

static unsigned int tmn_log_take(struct tmn_mmu *mmu, struct tmn_record *buf,
				 unsigned int room)
{
	struct tmn_log_ring *log = &mmu->log;
	unsigned int i, nr;

	spin_lock(&mmu->guard->lock);
	nr = min(room, log->nr);
	for (i = 0; i < nr; i++)
		buf[i] = log->records[(log->first + i) % TMN_LOG_RECORDS];
	log->first = (log->first + nr) % TMN_LOG_RECORDS;
	log->nr -= nr;
	spin_unlock(&mmu->guard->lock);
	return nr;
}

static unsigned int tmn_log_take_lost(struct tmn_mmu *mmu)
{
	unsigned int lost;

	spin_lock(&mmu->guard->lock);
	lost = mmu->log.lost;
	mmu->log.lost = 0;
	spin_unlock(&mmu->guard->lock);
	return lost;
}

/**
 * tmn_log_read - take the oldest records
 * @mmu: whose log it is
 * @arg: where to, and how many
 *
 * Return: 0 with @arg updated, -ENOMEM or -EFAULT.
 */
int tmn_log_read(struct tmn_mmu *mmu, struct tmn_log *arg)
{
	struct tmn_record __user *to = u64_to_user_ptr(arg->records);
	const unsigned int batch = SZ_4K / sizeof(struct tmn_record);
	unsigned int done = 0, nr;
	struct tmn_record *buf;
	int err = 0;

	buf = kcalloc(batch, sizeof(*buf), GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	while (done < arg->nr && !err) {
		nr = tmn_log_take(mmu, buf, min(batch, arg->nr - done));
		if (!nr)
			break;
		if (copy_to_user(to + done, buf, nr * sizeof(*buf)))
			err = -EFAULT;
		done += nr;
	}
	kfree(buf);
	arg->nr = done;
	arg->lost = tmn_log_take_lost(mmu);
	return err;
}
