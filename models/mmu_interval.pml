/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interval subscriptions: sections, insertion, removal, readers.
 *
 * Each section is in a shard of its own and overlaps both intervals, unless
 * said otherwise. Section 0 is non-blocking and may be refused, section 1 may
 * be the one that releases at exit. The driver of an interval inserts it, reads
 * (that is, copies a pte into its device), tears down and removes it.
 * models/check searches each configuration completely, and finds each seeded
 * bug in one of them. It reads these lists:
 *
 *	config	FULL	two sections; interval 0 is in the tree from the start
 *			and has a reader in another task, also while it goes
 *	config	FIRST	two sections, whose callbacks have two passes; the
 *			registry starts without intervals
 *	config	STUCK	one section with a callback of interval 1 that hangs
 *
 *	seed	A_ARMING_LATE		FIRST	C6
 *	seed	A_STATE_EARLY		FIRST	C6
 *	seed	E_ACTIVE_LATE		FULL	C6
 *	seed	E_SEQ_LATE		FULL	C6
 *	seed	F_ACTIVE_EARLY		FULL	C6
 *	seed	F_READ_EARLY		FULL	C6
 *	seed	NO_DRAIN		FIRST	C6
 *	seed	NO_ADOPTION		FULL	COUNT
 *	seed	ON_TOO_LONG		FIRST	C6
 *	seed	SEQ_SHARED		FULL	C6
 *	seed	FAILURE_NOT_UNDONE	FULL	hang
 *	seed	DYING_NOT_COUNTED	FULL	COUNT
 *	seed	ERASE_BEFORE_WAIT	FULL	TREE
 *	seed	REMOVE_IGNORES_REFS	FULL	MEMORY
 *	seed	FINISH_NO_REF		FIRST	MEMORY
 *	seed	ACTIVE_STAYS		FULL	hang
 *	seed	INSERT_KEEPS_FIRST	FULL	hang
 *	seed	REMOVE_KEEPS_FIRST	FULL	TREE
 *	seed	ONE_IS_ALL		FIRST	C6
 *	seed	REMOVE_WAITS		STUCK	C6
 *	seed	READ_WAITS_ALL		STUCK	C6
 *
 * C6 is the contract: every collision is seen, and nobody waits for others than
 * those he collides with. The other words stand for what must hold inside.
 *
 * "Barrier X: function()" marks the statement that stands for the barrier of
 * that letter in that function of the kernel.
 *
 *
 * Memory
 *
 * Promela is sequentially consistent. What a barrier orders is stored or loaded
 * in two steps, and a seed that drops the barrier exchanges them: A, E and F on
 * either side. mmu_notifier.pml is about the count of sections, which is exact
 * here. All else is under the locks of the shards.
 */
#define NIL	2

#ifdef STUCK
#define NSEC	1
#else
#define NSEC	2
#endif

/* enum mn_interval_state */
#define OFF	0
#define ARMING	1
#define ON	2

/* The registry, without whole-mm subscriptions */
byte intervals = OFF;
bool gen, live, mutex;
byte nr;
byte sections[2];	/* in flight, by the low bit of their epoch */
bool domain[2], domain_gp[2];	/* section is in it, and waited for */
bool shard[2];		/* locked */
bool linked[2];		/* section in the list of its shard */
byte first_hit[2] = NIL;	/* of a section that is linked */
byte next_seq = 1;

/* Intervals */
bool inserted[2], dying[2], freed[2];
short nactive[2], refs[2];
byte seq[2];		/* invalidate_seq */
bool user_lock;		/* of the drivers */

/* What is to be proved, which spin names in its message if it is not */
#define must(clause, x)	assert((x) || clause)
hidden byte C6, COUNT, TREE, MEMORY;
byte version;		/* of the pte, changed by sections */
bool spte[2];		/* the driver maps what it has read */
bool changing[2];	/* section after start, before end */
bool torn[2];		/* and does not do so again */
bool reading;		/* a reader in another task */
bool apart;		/* the section does not overlap interval 0 */

#define touch(i)	must(MEMORY, !freed[i])
#define overlaps(i)	((i) == 1 || !apart)

/* All shards; nobody else wants two */
inline lock_all()
{
	atomic { !shard[0] && !shard[1] -> shard[0] = true; shard[1] = true }
}

inline unlock_all() { d_step { shard[0] = false; shard[1] = false } }

/*
 * Sections
 */

inline count(i, d)
{
	if
	:: inserted[i] && overlaps(i) ->
		touch(i);
		nactive[i] = nactive[i] + (d);
		must(COUNT, nactive[i] >= 0)
	:: else
	fi
}

/* The first in the tree that overlaps the section, or NIL */
inline search(p)
{
	if
	:: inserted[0] && overlaps(0) -> first_hit[p] = 0
	:: !(inserted[0] && overlaps(0)) && inserted[1] -> first_hit[p] = 1
	:: !(inserted[0] && overlaps(0)) && !inserted[1] -> first_hit[p] = NIL
	fi
}

/* mn_interval_changed() */
inline search_again()
{
	if
	:: linked[0] -> search(0)
	:: else
	fi;
	if
	:: linked[1] -> search(1)
	:: else
	fi
}

/* The next in the tree that can be called, with a reference, or NIL */
inline get_next()
{
	do
	:: pos != NIL && inserted[pos] && !dying[pos] && overlaps(pos) ->
		refs[pos] = refs[pos] + 1;
		break
	:: pos != NIL && !(inserted[pos] && !dying[pos] && overlaps(pos)) ->
		pos++
	:: pos == NIL -> break
	od
}

inline join(p)
{
	d_step {
		!shard[p] ->
		linked[p] = true;
		search(p);
#ifndef BUG_E_ACTIVE_LATE
		count(0, 1);
		count(1, 1);
#endif
#ifdef BUG_DYING_NOT_COUNTED
		if
		:: dying[0] && inserted[0] -> nactive[0] = nactive[0] - 1
		:: else
		fi;
#endif
		pos = 0;
		get_next();
#ifdef BUG_ONE_IS_ALL
		more = false;
#else
		more = (pos == 0 && inserted[1]);
#endif
		if
		:: pos != NIL -> next_seq = next_seq + 2
		:: else
		fi;
#ifdef BUG_SEQ_SHARED
		cur = 3
#else
		cur = next_seq
#endif
	}
}

inline callback(i)
{
	atomic { !user_lock -> touch(i); user_lock = true }
	d_step {
		touch(i);
		seq[i] = cur	/* Barrier E: mmu_interval_set_seq() */
	}
	d_step { touch(i); spte[i] = false; user_lock = false }
#ifdef FIRST
	/* The second pass is to come */
	d_step {
		touch(i);
		finish[i] = true;
#ifndef BUG_FINISH_NO_REF
		refs[i] = refs[i] + 1
#endif
	}
#endif
#ifdef STUCK
	/* Hangs until nobody else gets on: who has to do with interval 0 may */
	if
	:: i == 1 -> timeout; must(C6, freed[0])
	:: true
	fi
#endif
}

/* The second pass, in the order of the first */
inline finish_all(i)
{
	if
	:: finish[i] ->
		d_step {
			touch(i);
			finish[i] = false;
#ifndef BUG_FINISH_NO_REF
			refs[i] = refs[i] - 1
#endif
		}
	:: else
	fi
}

/* mn_interval_advance() */
inline advance(p)
{
	d_step {
		!shard[p] ->
		prev = pos;
		touch(prev);
		must(TREE, inserted[prev]);
		pos++;
		get_next();
		refs[prev] = refs[prev] - 1;
		prev = 0
	}
}

/* mn_interval_end() */
inline leave_shard(p)
{
	d_step {
		!shard[p] ->
		must(TREE, linked[p]);
		linked[p] = false;
		if
		:: first_hit[p] != NIL -> must(TREE, inserted[first_hit[p]])
		:: else
		fi;
		if
		:: first_hit[p] == 0 ->
			count(0, -1)	/* Barrier F: mn_interval_end() */
		:: else
		fi;
		if
		:: first_hit[p] != NIL -> count(1, -1)
		:: else
		fi;
		first_hit[p] = NIL
	}
}

inline domain_leave(p) { domain[p] = false; domain_gp[p] = false }

/* joins: there are intervals, as far as this section can tell */
inline section_enter(p)
{
#ifdef FIRST
	domain[p] = true;	/* Barrier C: mmu_notifier_section_unused() */
	d_step {
		counted = live;
		if
		:: counted -> domain_leave(p)
		:: else
		fi
	}
	if
	:: counted ->
#ifdef BUG_A_STATE_EARLY
		joins = (intervals != OFF);
#endif
		d_step {
			e = gen;	/* Barrier A: mn_section_enter() */
			sections[e] = sections[e] + 1
		}
#ifndef BUG_A_STATE_EARLY
		joins = (intervals != OFF)
#endif
	:: else
	fi
#else
	joins = true
#endif
}

inline section_leave(p)
{
	d_step {
		if
		:: counted -> sections[e] = sections[e] - 1
		:: else
		fi;
		domain_leave(p);
		counted = false; joins = false; e = 0
	}
}

/* mn_interval_start() */
inline start(p)
{
	join(p);
	do
	:: pos == NIL -> break
	:: pos != NIL && p == 0 && NSEC == 2 ->
		d_step { touch(pos); refs[pos] = refs[pos] - 1; failed = true };
		break
	:: pos != NIL ->
		callback(pos);
		if
		:: more -> advance(p)
		:: else ->
			d_step { touch(pos); refs[pos] = refs[pos] - 1 };
			break
		fi
	od;
#ifdef FIRST
	finish_all(0);
	finish_all(1);
#endif
	pos = 0;
	cur = 0;
	more = false;
#ifdef BUG_E_ACTIVE_LATE
	d_step { !shard[p] -> count(0, 1); count(1, 1) };
#endif
	if
	:: failed ->
#ifdef BUG_FAILURE_NOT_UNDONE
		d_step { !shard[p] -> linked[p] = false }
#else
		leave_shard(p)
#endif
	:: else
	fi
}

proctype section(byte p)
{
	byte pos, prev, cur;
	bool failed, joins, counted, e, more;
#ifdef FIRST
	bool finish[2];
#endif

	section_enter(p);
	if
	:: joins -> start(p)
	:: else
	fi;
	if
	:: !failed ->
#ifdef BUG_F_ACTIVE_EARLY
		leave_shard(p);
#endif
		d_step {
			must(C6, !spte[0] || apart);
			must(C6, !spte[1]);
			changing[p] = true;
			version++
		}
		changing[p] = false;
#ifndef BUG_F_ACTIVE_EARLY
		if
		:: joins -> leave_shard(p)
		:: else
		fi
#endif
	:: else -> failed = false
	fi;
	section_leave(p)
}

/*
 * Drivers
 */

/* mn_interval_link(), under all locks */
inline link(i)
{
	d_step {
#ifndef BUG_NO_ADOPTION
		if
		:: overlaps(i) -> nactive[i] = linked[0] + linked[1]
		:: else
		fi;
#endif
		seq[i] = 1;
		inserted[i] = true;
#ifndef BUG_INSERT_KEEPS_FIRST
		search_again();
#endif
		nr++
	}
}

/* mn_interval_try_link() */
inline try_link(i)
{
	if
	:: intervals == ON ->
		lock_all();
		if
		:: intervals == ON -> link(i)
		:: else
		fi;
		unlock_all()
	:: else
	fi
}

/* mn_activate(), without its part in the count of sections */
inline activate()
{
#ifndef BUG_A_ARMING_LATE
	intervals = ARMING;
#endif
	gen = !gen;		/* Barrier A: mn_activate() */
#ifdef BUG_A_ARMING_LATE
	intervals = ARMING;
#endif
	d_step {
		if
		:: nr == 0 ->
			domain_gp[0] = domain[0];
			domain_gp[1] = domain[1]
		:: else
		fi;
		nr++;
		live = true	/* Barrier C: mn_activate() */
	}
#ifndef BUG_NO_DRAIN
	!domain_gp[0] && !domain_gp[1];
				/* Barrier C: mn_activate() */
	sections[1 - gen] == 0;	/* Barrier B: mn_drain_sections() */
#endif
}

inline gone()
{
	nr--;
	if
#ifndef BUG_ON_TOO_LONG
	:: nr == 0 -> intervals = OFF; live = false
#else
	:: nr == 0 -> live = false
#endif
	:: else
	fi
}

inline insert(i)
{
	try_link(i);
	if
	:: !inserted[i] ->
		atomic { !mutex -> mutex = true }
		try_link(i);
		if
		:: !inserted[i] ->
			activate();
			lock_all();
			d_step { intervals = ON }
			link(i);
			d_step { gone() }
			unlock_all()
		:: else
		fi;
		mutex = false
	:: else
	fi
}

/* One round of a reader */
inline read(i)
{
#ifdef BUG_F_READ_EARLY
	v = version;
#endif
	/* mmu_interval_read_begin() */
#ifdef BUG_E_SEQ_LATE
	nactive[i] == 0;
	s = seq[i];
#else
	s = seq[i];		/* Barrier E: mmu_interval_read_begin() */
#ifdef BUG_READ_WAITS_ALL
	!linked[0] && !linked[1];
#else
	nactive[i] == 0 || seq[i] != s;
				/* Barrier F: mmu_interval_read_begin() */
#endif
#endif
#ifndef BUG_F_READ_EARLY
	v = version;
#endif
	atomic { !user_lock -> user_lock = true }
	d_step {
		/* mmu_interval_read_retry() */
		if
		:: seq[i] == s && !torn[i] ->
			must(C6, v == version || apart && i == 0);
			must(C6, !changing[0] && !changing[1] || apart && i == 0);
			spte[i] = true
		:: else
		fi;
		user_lock = false;
		s = 0;
		v = 0
	}
}

inline tear_down(i)
{
	atomic { !user_lock -> torn[i] = true; spte[i] = false }
}

/* mmu_interval_notifier_remove() */
inline remove(i)
{
	lock_all();
	dying[i] = true;
#ifdef BUG_ERASE_BEFORE_WAIT
	inserted[i] = false;
#endif
	unlock_all();
#ifdef BUG_REMOVE_WAITS
	nactive[i] == 0;
#endif
#ifndef BUG_REMOVE_IGNORES_REFS
	refs[i] == 0;
#endif
	lock_all();
	d_step {
		inserted[i] = false;
#ifndef BUG_REMOVE_KEEPS_FIRST
		search_again();
#endif
#ifndef BUG_ACTIVE_STAYS
		/* Barrier F: mmu_interval_notifier_remove() */
		nactive[i] = 0;
#endif
		gone()
	}
	unlock_all()
}

/* By the driver, when nobody reads */
inline free(i)
{
	atomic {
		!(reading && i == 0);
		must(MEMORY, refs[i] == 0);
		freed[i] = true;
		seq[i] = 0
	}
}

/* A reader has to wait for a section that hangs and overlaps its interval */
#if defined(STUCK)
#define reads(i)	((i) == 1 || apart)
#elif defined(FULL)
#define reads(i)	((i) == 1)
#else
#define reads(i)	true
#endif

proctype driver(byte i)
{
	byte s, v;

	if
	:: !inserted[i] -> insert(i)
	:: else
	fi;
	if
	:: reads(i) -> read(i)
	:: else
	fi;
	tear_down(i);
	remove(i);
	free(i)
}

proctype reader(byte i)
{
	byte s, v;

	read(i);
	read(i);
	reading = false
}

init {
	atomic {
#ifndef FIRST
		intervals = ON; live = true; nr = 1;
		inserted[0] = true; seq[0] = 1;
#endif
#ifdef STUCK
		nr = 2;
		inserted[1] = true; seq[1] = 1;
		if
		:: apart = true
		:: true
		fi;
#endif
		run section(0);
#if NSEC == 2
		run section(1);
#endif
		run driver(0);
		run driver(1);
#ifdef FULL
		reading = true;
		run reader(0)
#endif
	}
}
