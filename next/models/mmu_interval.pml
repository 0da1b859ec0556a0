/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interval subscriptions: sections, insertion, removal, readers.
 *
 * Two sections overlap both intervals. Section 0 is non-blocking and may be
 * refused, section 1 may be the one that releases at exit. Each is in a shard
 * of its own. Interval 0 is in the tree from the beginning, its driver reads.
 * Interval 1 is inserted meanwhile. Both are removed. Letters are those of the
 * barriers in mm/mmu_notifier_interval.c.
 *
 * Memory: what a barrier orders is written or read in two steps, in either
 * order if the barrier is taken away.
 */
#define NIL	2

bool shard[2];		/* locked */
bool linked[2];		/* section in the list of its shard */
bool inserted[2], dying[2], freed[2];
short nactive[2], refs[2];
byte seq[2], next_seq;	/* invalidate_seq of the intervals; last cur_seq */
bool user_lock;		/* the driver's */

/* What is to be proved */
byte version;		/* of the pte, changed by sections */
bool spte[2];		/* the driver maps what it has read */
bool changing[2];	/* section between start and end */
byte removing;

#define touch(i)	assert(!freed[i])

/* All shards; nobody else wants two */
inline lock_all() { atomic { !shard[0] && !shard[1] ->
			     shard[0] = true; shard[1] = true } }
inline unlock_all() { d_step { shard[0] = false; shard[1] = false } }

/* Raise or lower ->active of every interval in the tree */
inline count_all(d)
{
	if
	:: inserted[0] -> touch(0); nactive[0] = nactive[0] + d
	:: else -> skip
	fi;
	if
	:: inserted[1] -> touch(1); nactive[1] = nactive[1] + d
	:: else -> skip
	fi;
	assert(nactive[0] >= 0 && nactive[1] >= 0)
}

/* The next interval in the tree from pos on that can be called, or NIL */
inline get_next()
{
	do
	:: pos == NIL -> break
	:: pos != NIL && inserted[pos] && !dying[pos] ->
		refs[pos] = refs[pos] + 1;
		break
	:: else -> pos++
	od
}

/* mn_interval_end() */
inline section_end(p)
{
	d_step {
		!shard[p] ->
		assert(linked[p]);
		linked[p] = false;
		count_all(-1)
	}
}

proctype section(byte p)
{
	byte pos, prev, cur;
	bool failed;

	/* mn_interval_join() */
	d_step {
		!shard[p] ->
		linked[p] = true;
#ifndef BUG_E_ACTIVE_LATE
		count_all(1);
#endif
#ifdef BUG_DYING_NOT_COUNTED
		if
		:: dying[0] && inserted[0] -> nactive[0] = nactive[0] - 1
		:: else -> skip
		fi;
#endif
		pos = 0;
		get_next();
		if
		:: pos != NIL -> next_seq = next_seq + 2
		:: else -> skip
		fi;
#ifdef BUG_SEQ_SHARED
		cur = 3
#else
		cur = next_seq
#endif
	}

	do
	:: pos == NIL -> break
	:: else ->
		/* The callback of interval pos */
		if
		:: p == 0 -> failed = true
		:: true ->
			atomic { !user_lock -> touch(pos); user_lock = true }
			d_step { touch(pos); seq[pos] = cur }	/* Barrier E */
			d_step {
				touch(pos);
				spte[pos] = false;
				user_lock = false
			}
		fi;
		if
		:: failed ->
			d_step { touch(pos); refs[pos] = refs[pos] - 1 }
			break
		:: else -> skip
		fi;
		/* mn_interval_advance() */
		d_step {
			!shard[p] ->
			prev = pos;
			touch(prev);
			assert(inserted[prev]);
			pos++;
			get_next();
			refs[prev] = refs[prev] - 1
		}
	od;
	skip;
#ifdef BUG_E_ACTIVE_LATE
	d_step { !shard[p] -> count_all(1) }
#endif
	if
	:: failed ->
#ifdef BUG_FAILURE_NOT_UNDONE
		d_step { !shard[p] -> linked[p] = false }
		skip
#else
		section_end(p)
#endif
	:: else ->
#ifdef BUG_F_ACTIVE_EARLY
		section_end(p);
#endif
		/* No stale translation may be left when the pte changes */
		d_step {
			assert(!spte[0]);
			changing[p] = true;
			version++
		}
		changing[p] = false;
#ifndef BUG_F_ACTIVE_EARLY
		section_end(p)
#endif
	fi;
	d_step { prev = 0; cur = 0; failed = false; pos = 0 }
}

inline remove(i)
{
	lock_all();
	dying[i] = true;
#ifdef BUG_REMOVE_IGNORES_REFS
	inserted[i] = false;
	unlock_all();
#else
	if
	:: refs[i] != 0 ->
#ifdef BUG_ERASE_BEFORE_WAIT
		inserted[i] = false;
#endif
		unlock_all();
		refs[i] == 0;
		lock_all()
	:: else -> skip
	fi;
	inserted[i] = false;
	unlock_all();
#endif
	d_step { assert(refs[i] == 0); freed[i] = true }
}

/* The driver of interval 0: read, map, twice; then remove */
proctype reader()
{
	byte s, v, n;

	do
	:: n == 2 -> break
	:: else ->
		n++;
		/* mmu_interval_read_begin() */
#ifdef BUG_E_SEQ_LATE
		nactive[0] == 0;
		s = seq[0];
#else
		s = seq[0];		/* Barrier E */
		nactive[0] == 0 || seq[0] != s;	/* Barrier F */
#endif
		v = version;
		atomic { !user_lock -> user_lock = true }
		d_step {
			/* mmu_interval_read_retry() */
			if
			:: seq[0] == s ->
				assert(v == version);
				assert(!changing[0] && !changing[1]);
				spte[0] = true
			:: else -> skip
			fi;
			user_lock = false
		}
	od;
	/* As drivers do: tear down, then remove */
	atomic { !user_lock -> spte[0] = false };
	d_step { s = 0; v = 0 }
	remove(0)
}

/* The driver of interval 1 */
proctype inserter()
{
	lock_all();
#ifndef BUG_INSERT_NO_ADOPTION
	nactive[1] = linked[0] + linked[1];
#endif
	d_step { inserted[1] = true; seq[1] = 1 }
	unlock_all();
	/* read_begin() returns in the end: no deadlock */
	nactive[1] == 0 || seq[1] != 1;
	remove(1)
}

init {
	atomic {
		inserted[0] = true;
		seq[0] = 1;
		next_seq = 1;
		run section(0);
		run section(1);
		run reader();
		run inserter()
	}
}
