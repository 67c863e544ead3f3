// SPDX-License-Identifier: Apache-2.0
#include "bpf/maps.h"

const volatile bool has_ifindex = true;

SEC("sockops")
int weft_sockops(struct bpf_sock_ops *ctx)
{
	(void)ctx;
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
