/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What sockops writes down of a connection that is about to send its SYN, and when that is
 * believed. */
#include "bpf/decide/address.h"

enum weft_note {
	WEFT_NOTE_NOTHING,
	WEFT_NOTE_ATTESTED,  /* the pod opens it in its own name */
	WEFT_NOTE_DELIVERED, /* opened inside the pod under another address */
};

/* `pod` null: not enrolled. `marked`: the socket carries our mark. */
WEFT_INLINE __u32 weft_attest(const struct weft_pod *pod, const struct weft_tuple *tuple,
			      bool marked)
{

	if (!pod || !(pod->flags & WEFT_POD_ENROLLED))
		return WEFT_NOTE_NOTHING;
	if (weft_is_loopback(&tuple->destination))
		return WEFT_NOTE_NOTHING;
	/* A pod may give itself any address, so only those that the agent gave it prove who it is.
	 */
	if (weft_is_own(pod, &tuple->source))
		return WEFT_NOTE_ATTESTED;
	/* Marked and to elsewhere: on its way to the proxy, no delivery. */
	if (marked && !weft_is_own(pod, &tuple->destination))
		return WEFT_NOTE_NOTHING;
	return WEFT_NOTE_DELIVERED;
}

WEFT_INLINE struct weft_attested weft_attested_of(const struct weft_pod *pod, __u64 netns_cookie,
						  bool marked)
{
	struct weft_attested record = {
	    netns_cookie,
	    pod->identity,
	    pod->namespace_id,
	    pod->pod_id,
	    pod->generation,
	    marked ? (__u32)WEFT_ATTESTED_LOOPED : 0,
	    0,
	};
	return record;
}

/* Of a connection of the node's kubelet. */
WEFT_INLINE struct weft_attested weft_attested_probe(__u64 node_cookie)
{
	struct weft_attested record = {node_cookie, 0, 0, 0, 0, WEFT_ATTESTED_PROBE, 0};
	return record;
}

/* `source` is the pod now behind the record's netns; null: none. */
WEFT_INLINE bool weft_record_believed(const struct weft_attested *record,
				      const struct weft_pod *source)
{
	return source && source->flags & WEFT_POD_ENROLLED && source->pod_id == record->pod_id &&
	       source->generation == record->generation;
}

enum weft_proof {
	WEFT_PROOF_NONE,
	WEFT_PROOF_POD,	  /* an enrolled pod of this node, by its record */
	WEFT_PROOF_PROBE, /* the node's kubelet, by its record */
};

/* What a record is worth; null: there is none. */
WEFT_INLINE __u32 weft_proof_of(const struct weft_attested *record, const struct weft_pod *source)
{
	if (!record)
		return WEFT_PROOF_NONE;
	if (record->flags & WEFT_ATTESTED_PROBE)
		return WEFT_PROOF_PROBE;
	return weft_record_believed(record, source) ? WEFT_PROOF_POD : WEFT_PROOF_NONE;
}

/*
 * Whether a record found in another netns than its own speaks of this arrival: a looped connection
 * never leaves the netns it was opened in, so what comes in elsewhere under its 4-tuple is another.
 */
WEFT_INLINE bool weft_record_speaks(const struct weft_attested *record, __u64 netns_cookie)
{
	return record->netns_cookie == netns_cookie || !(record->flags & WEFT_ATTESTED_LOOPED);
}
