/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Addresses and ports: one 16-byte form, and the only place where byte orders are turned. */
#include "bpf/abi/weft_abi.h"

#define WEFT_INLINE static __attribute__((always_inline, unused)) inline

WEFT_INLINE __u16 weft_swap16(__u16 value)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap16(value);
#else
	return value;
#endif
}

WEFT_INLINE __u32 weft_swap32(__u32 value)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap32(value);
#else
	return value;
#endif
}

/* sock_addr's user_port: a network-order u16 in a u32. */
WEFT_INLINE __u16 weft_port_of_user(__u32 user_port) { return weft_swap16((__u16)user_port); }

WEFT_INLINE __u32 weft_user_of_port(__u16 port) { return weft_swap16(port); }

/* sock_ops' remote_port: the network-order port in the upper half. (Its local_port is host order.)
 */
WEFT_INLINE __u16 weft_port_of_sockops(__u32 remote_port)
{
	return (__u16)weft_swap32(remote_port);
}

/* sk_lookup's remote_port: a network-order u16. (Its local_port is host order.) */
WEFT_INLINE __u16 weft_port_of_lookup(__u16 remote_port) { return weft_swap16(remote_port); }

WEFT_INLINE __u32 weft_word(const struct weft_address *address, int index)
{
	__u32 word;
	__builtin_memcpy(&word, &address->bytes[4 * index], sizeof(word));
	return word;
}

WEFT_INLINE void weft_set_words(struct weft_address *address, __u32 w0, __u32 w1, __u32 w2,
				__u32 w3)
{
	__builtin_memcpy(&address->bytes[0], &w0, sizeof(w0));
	__builtin_memcpy(&address->bytes[4], &w1, sizeof(w1));
	__builtin_memcpy(&address->bytes[8], &w2, sizeof(w2));
	__builtin_memcpy(&address->bytes[12], &w3, sizeof(w3));
}

/* `network_order` as the kernel has IPv4 addresses. */
WEFT_INLINE void weft_set_v4(struct weft_address *address, __u32 network_order)
{
	weft_set_words(address, 0, 0, weft_swap32(0x0000ffff), network_order);
}

WEFT_INLINE bool weft_same_address(const struct weft_address *a, const struct weft_address *b)
{
	return weft_word(a, 0) == weft_word(b, 0) && weft_word(a, 1) == weft_word(b, 1) &&
	       weft_word(a, 2) == weft_word(b, 2) && weft_word(a, 3) == weft_word(b, 3);
}

WEFT_INLINE bool weft_is_v4(const struct weft_address *a)
{
	return weft_word(a, 0) == 0 && weft_word(a, 1) == 0 &&
	       weft_word(a, 2) == weft_swap32(0x0000ffff);
}

/* 127.0.0.0/8, ::1, and the unspecified addresses, which connect() takes for loopback. */
WEFT_INLINE bool weft_is_loopback(const struct weft_address *a)
{
	__u32 last = weft_swap32(weft_word(a, 3));

	if (weft_is_v4(a))
		return last >> 24 == 127 || last == 0;
	return weft_word(a, 0) == 0 && weft_word(a, 1) == 0 && weft_word(a, 2) == 0 && last <= 1;
}

/* fe80::/10: never a service or a workload, and every pod has one of its own that no table knows.
 */
WEFT_INLINE bool weft_is_link_local6(const struct weft_address *a)
{
	return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

/* A pod without an address of a family has zeroes there, and nobody is called zero: see
 * weft_is_loopback(). */
WEFT_INLINE bool weft_is_own(const struct weft_pod *pod, const struct weft_address *a)
{
	return weft_same_address(&pod->ipv4, a) || weft_same_address(&pod->ipv6, a);
}
