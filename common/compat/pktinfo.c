#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <stdint.h>
#include <string.h>

#include "common/compat/pktinfo.h"

int
compat_pktinfo_ask(int fd, int family)
{
	int on = 1;

	if (family == AF_INET6)
		return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on,
		    sizeof(on));
#if defined(IP_PKTINFO)
	return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
#elif defined(IP_RECVDSTADDR)
	return setsockopt(fd, IPPROTO_IP, IP_RECVDSTADDR, &on, sizeof(on));
#else
	return 0;
#endif
}

/* Leaves one message of control data, with n octets. */
static void
put(struct msghdr *m, int level, int type, const void *p, size_t n)
{
	struct cmsghdr *c = m->msg_control;

	memset(m->msg_control, 0, CMSG_SPACE(n));
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), p, n);
	m->msg_controllen = CMSG_SPACE(n);
}

static bool
turn6(struct msghdr *m, const struct cmsghdr *c)
{
	struct in6_pktinfo to;

	memcpy(&to, CMSG_DATA(c), sizeof(to));
	if (IN6_IS_ADDR_MULTICAST(&to.ipi6_addr))
		return false;
	/* The way back may be another, but not for such an address. */
	if (!IN6_IS_ADDR_LINKLOCAL(&to.ipi6_addr))
		to.ipi6_ifindex = 0;
	put(m, IPPROTO_IPV6, IPV6_PKTINFO, &to, sizeof(to));
	return true;
}

static bool
turn4(struct msghdr *m, const struct cmsghdr *c)
{
#if defined(IP_PKTINFO)
	struct in_pktinfo to;

	memcpy(&to, CMSG_DATA(c), sizeof(to));
	if (to.ipi_addr.s_addr != to.ipi_spec_dst.s_addr)
		return false;
	to.ipi_ifindex = 0;
	to.ipi_addr.s_addr = 0;
	put(m, IPPROTO_IP, IP_PKTINFO, &to, sizeof(to));
#elif defined(IP_RECVDSTADDR) && defined(IP_SENDSRCADDR)
	struct in_addr to;

	memcpy(&to, CMSG_DATA(c), sizeof(to));
	if (IN_MULTICAST(ntohl(to.s_addr)) || to.s_addr == INADDR_BROADCAST)
		return false;
	put(m, IPPROTO_IP, IP_SENDSRCADDR, &to, sizeof(to));
#else
	(void)c;
	m->msg_controllen = 0;
#endif
	return true;
}

/* What the first of its kind holds; NULL if it is too short or missing. */
static const struct cmsghdr *
find(struct msghdr *m, int level, int type, size_t n)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == level && c->cmsg_type == type &&
		    c->cmsg_len >= CMSG_LEN(n))
			return c;
	return NULL;
}

bool
compat_pktinfo_turn(struct msghdr *m)
{
	const struct cmsghdr *c;

	c = find(m, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo));
	if (c != NULL)
		return turn6(m, c);
#if defined(IP_PKTINFO)
	c = find(m, IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo));
#elif defined(IP_RECVDSTADDR)
	c = find(m, IPPROTO_IP, IP_RECVDSTADDR, sizeof(struct in_addr));
#endif
	if (c != NULL)
		return turn4(m, c);
	m->msg_controllen = 0;
	return true;
}
