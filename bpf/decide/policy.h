/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * L4 policy of one pod: up to 16 keys are looked up in turn, the first that is found decides. All
 * DENY keys come before all ALLOW keys; within an action: anyone, identity, namespace, address,
 * each for the port and for any port.
 */
#include "bpf/decide/address.h"

#define WEFT_POLICY_KEYS 16
#define WEFT_POLICY_DENY_KEYS 8

/* Who wants in where. */
struct weft_party {
	__u32 pod_id;			    /* of the destination */
	__u32 identity;			    /* of the source, proven; else 0 */
	__u32 namespace_id;		    /* the same */
	__u16 port;			    /* of the destination, host order */
	const struct weft_address *address; /* of the source */
};

/* Without ALLOW rules there is nothing to find behind the DENY keys. */
WEFT_INLINE __u32 weft_policy_keys(bool has_allow)
{
	return has_allow ? WEFT_POLICY_KEYS : WEFT_POLICY_DENY_KEYS;
}

/* Key number `index`; false: it says nothing about this party. */
WEFT_INLINE bool weft_policy_key_at(const struct weft_party *party, __u32 index,
				    struct weft_policy_key *key)
{
	__u32 subject = (index >> 1) & 3;

	__builtin_memset(key, 0, sizeof(*key));
	key->pod_id = party->pod_id;
	key->action = index < WEFT_POLICY_DENY_KEYS ? WEFT_ACTION_DENY : WEFT_ACTION_ALLOW;
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
		key->value = *party->address;
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
