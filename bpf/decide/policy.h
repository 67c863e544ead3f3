/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * L4 policy of one pod: up to 20 keys are looked up in turn, the first that is found decides. All
 * DENY keys come before all ALLOW keys; within an action: anyone, anonymous or proven, identity,
 * namespace, address, each for the port and for any port. Kinds of keys of which the pod has no
 * entry are not looked up.
 */
#include "bpf/decide/address.h"

#define WEFT_POLICY_SUBJECTS 5 /* that are asked of one party */
#define WEFT_POLICY_DENY_KEYS (2 * WEFT_POLICY_SUBJECTS)
#define WEFT_POLICY_KEYS (2 * WEFT_POLICY_DENY_KEYS)

/* Who wants in where. */
struct weft_party {
	__u32 pod_id;		     /* of the destination */
	__u32 identity;		     /* of the source, proven; else 0 */
	__u32 namespace_id;	     /* the same */
	__u32 kinds;		     /* policy_kinds of the destination */
	__u16 port;		     /* of the destination, host order */
	struct weft_address address; /* of the source */
};

/* Without ALLOW rules there is nothing to find behind the DENY keys. */
WEFT_INLINE __u32 weft_policy_keys(bool has_allow)
{
	return has_allow ? WEFT_POLICY_KEYS : WEFT_POLICY_DENY_KEYS;
}

/*
 * The subject whose turn it is; each party is either anonymous or proven. Reckoned rather than
 * branched, here and below: each fork in the loop over the keys doubles what the verifier walks.
 */
WEFT_INLINE __u32 weft_policy_subject(const struct weft_party *party, __u32 turn)
{
	if (turn == 0)
		return WEFT_SUBJECT_ANYONE;
	if (turn == 1)
		return WEFT_SUBJECT_ANONYMOUS +
		       ((party->identity | (0 - party->identity)) >> 31);
	if (turn == 2)
		return WEFT_SUBJECT_IDENTITY;
	return turn == 3 ? WEFT_SUBJECT_NAMESPACE : WEFT_SUBJECT_ADDRESS;
}

/* Key number `index`; false: the pod has none of that kind, or it says nothing about this party. */
WEFT_INLINE bool weft_policy_key_at(const struct weft_party *party, __u32 index,
				    struct weft_policy_key *key)
{
	__u32 action = index < WEFT_POLICY_DENY_KEYS ? WEFT_ACTION_DENY : WEFT_ACTION_ALLOW;
	__u32 subject = weft_policy_subject(party, (index % WEFT_POLICY_DENY_KEYS) >> 1);
	__u32 kind = ((action - 1) * 6 + subject) * 2 + (index & 1);


	__builtin_memset(key, 0, sizeof(*key));
	if (!(party->kinds >> kind & 1)) /* WEFT_POLICY_KIND */
		return false;
	key->pod_id = party->pod_id;
	key->action = (__u8)action;
	key->subject = (__u8)subject;
	key->port = index & 1 ? 0 : party->port;
	key->prefix_length = WEFT_POLICY_FIXED_BITS;
	if (subject == WEFT_SUBJECT_IDENTITY) {
		key->prefix_length += 32;
		__builtin_memcpy(key->value.bytes, &party->identity, sizeof(party->identity));
		return party->identity != 0;
	}
	if (subject == WEFT_SUBJECT_NAMESPACE) {
		key->prefix_length += 32;
		__builtin_memcpy(key->value.bytes, &party->namespace_id,
				 sizeof(party->namespace_id));
		return party->namespace_id != 0;
	}
	if (subject == WEFT_SUBJECT_ADDRESS) {
		key->prefix_length += 128;
		key->value = party->address;
	}
	return true;
}

/* `found` is the index of the deciding key, or WEFT_POLICY_KEYS if none was found. */
WEFT_INLINE bool weft_policy_admits(__u32 found, bool has_allow)
{
	if (found < WEFT_POLICY_DENY_KEYS)
		return false;
	if (found < WEFT_POLICY_KEYS)
		return true;
	return !has_allow;
}
