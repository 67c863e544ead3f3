// SPDX-License-Identifier: Apache-2.0
#include "bpf/maps.h"

const volatile __u32 mark_bit = WEFT_MARK_DEFAULT;
const volatile bool has_set_retval = true;

SEC("cgroup/connect4")
int weft_connect4(struct bpf_sock_addr *ctx)
{
	(void)ctx;
	return 1;
}

SEC("cgroup/connect6")
int weft_connect6(struct bpf_sock_addr *ctx)
{
	(void)ctx;
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
