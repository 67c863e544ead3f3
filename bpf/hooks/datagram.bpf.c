// SPDX-License-Identifier: Apache-2.0
#include "bpf/maps.h"

const volatile bool has_set_retval = true;

#define HOOK(name, section)                      \
	SEC(section)                             \
	int weft_##name(struct bpf_sock_addr *ctx) \
	{                                        \
		(void)ctx; return 1;                 \
	}
HOOK(sendmsg4, "cgroup/sendmsg4")
HOOK(sendmsg6, "cgroup/sendmsg6")
HOOK(recvmsg4, "cgroup/recvmsg4")
HOOK(recvmsg6, "cgroup/recvmsg6")

char _license[] SEC("license") = "Dual BSD/GPL";
