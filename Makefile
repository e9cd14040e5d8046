# GNU make and BSD make both read this file.  README says what to call.

CC	= cc
AR	= ar
O	= out
GEN	= $(O)/gen/common/msg_gen.h
PREFIX	= /usr/local
# jobs at once
J	= 2
WARN	= -std=c11 -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual \
	  -Wsign-compare -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	  -Wformat=2 -Werror
HARDEN	= -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
OPT	= -O2 -g
CFLAGS	= $(OPT) $(WARN) $(HARDEN)
LDFLAGS	= -pie -Wl,-z,relro,-z,now -Wl,--as-needed
DEFS	= -D_GNU_SOURCE

# make run
DIR	= ./run
LISTEN	= 127.0.0.1:8080
URL	= http://$(LISTEN)
DERPMAP	=
STUN	= 3478

# make fuzz
T	= 60
# make check STEPS='unit lint': only these
STEPS	=
# make sim
SEEDS	= 2000
# make check: random policies
POLICIES = 2000

RULES	= $(MAKE) -j $(J) -f $(O)/rules.mk O='$(O)' GEN='$(GEN)' CC='$(CC)' \
	  AR='$(AR)' CFLAGS='$(CFLAGS)' LDFLAGS='$(LDFLAGS)' CPPFLAGS="$(DEFS) \
	  -I. -I$(O)/gen `. $(O)/config && echo $$PKG_CFLAGS $$LLHTTP_CFLAGS`"

all: rules
	@$(RULES) programs

# Who may not write here takes what is there.
rules: $(GEN)
	@[ ! -f $(O)/rules.mk ] || [ -w $(O)/rules.mk ] || exit 0; \
	    CC='$(CC)' LINK='$(CFLAGS) $(LDFLAGS:-pie=)' sh common/mk/config.sh \
	    > $(O)/config && \
	    sh common/mk/rules.sh $(O)/config > $(O)/rules.mk

$(GEN): common/msg.tbl common/msg.awk
	@mkdir -p $(O)/gen/common
	@s=`cksum < common/msg.tbl | cut -d' ' -f1` && for x in h c; do \
	    awk -v out=$$x -v sum=$$s -f common/msg.awk common/msg.tbl \
	    > $(O)/gen/common/msg_gen.$$x || exit 1; done

tests: rules
	@$(RULES) tests bins

fuzzers: rules
	@$(RULES) fuzzers

# Installs by package name what is missing; as root makes users and group.
deps:
	@sh common/mk/deps.sh run

deps-check:
	@sh common/mk/deps.sh check

run: deps
	@$(MAKE) O='$(O)' all
	@O='$(O)' DIR='$(DIR)' LISTEN='$(LISTEN)' URL='$(URL)' \
	    DERPMAP='$(DERPMAP)' STUN='$(STUN)' sh etc/run.sh

check: deps-check
	@O='$(O)' MAKE='$(MAKE)' SEEDS='$(SEEDS)' POLICIES='$(POLICIES)' \
	    bash regress/check.sh $(STEPS)

check-long:
	@$(MAKE) O='$(O)' SEEDS='$(SEEDS)' STEPS='$(STEPS)' POLICIES=100000 \
	    check

# Recorded answers of Tailscale's service, in a folder of theirs.
captures: deps rules
	@$(RULES) '$(O)/b/polrun' >/dev/null
	@d='$(DIR)'; [ "$$d" != ./run ] || d=../shared/captures; \
	    python3 regress/policy/compare.py '$(O)/b/polrun' "$$d"

sim: rules
	@$(RULES) tests bins >/dev/null
	@$(O)/b/sim -n $(SEEDS)

fuzz: deps-check
	@MAKE='$(MAKE)' T='$(T)' bash regress/fuzz/run.sh $(O)-fuzz

bench: deps-check all
	@bash regress/bench/run.sh $(O)

bench-policy: deps-check all
	@$(MAKE) O='$(O)' one F='$(O)/b/polbench $(O)/b/b_tailnet' >/dev/null
	@bash regress/bench/policy.sh $(O)

bench-derp: deps-check all
	@$(MAKE) O='$(O)' one F='$(O)/b/derpload $(O)/b/b_tls' >/dev/null
	@bash regress/bench/derp.sh $(O)

# Touches no configuration: copy the sample, which comes with it.
install: all
	@for d in sbin libexec/headscaled lib/systemd/system lib/sysusers.d \
	    share/man/man5 share/man/man7 share/man/man8 \
	    share/examples/headscaled share/bash-completion/completions \
	    share/zsh/site-functions share/fish/vendor_completions.d; do \
	    install -d -m 755 "$(DESTDIR)$(PREFIX)/$$d" || exit 1; done
	install -m 755 $(O)/headscaled $(O)/headscalectl \
	    '$(DESTDIR)$(PREFIX)/sbin'
	install -m 755 $(O)/headscaled-worker $(O)/headscaled-keyd \
	    $(O)/headscaled-dbd $(O)/headscaled-policyc $(O)/headscaled-stun \
	    $(O)/headscaled-fetch \
	    '$(DESTDIR)$(PREFIX)/libexec/headscaled'
	install -m 644 man/*.5 '$(DESTDIR)$(PREFIX)/share/man/man5'
	install -m 644 man/*.7 '$(DESTDIR)$(PREFIX)/share/man/man7'
	install -m 644 man/*.8 '$(DESTDIR)$(PREFIX)/share/man/man8'
	install -m 644 etc/headscaled.conf etc/policy.hujson \
	    '$(DESTDIR)$(PREFIX)/share/examples/headscaled'
	sed 's,/usr/local/,$(PREFIX)/,' etc/rc.d/headscaled > $(O)/rc
	install -m 755 $(O)/rc \
	    '$(DESTDIR)$(PREFIX)/share/examples/headscaled/headscaled.rc'
	sed 's,/usr/local/,$(PREFIX)/,' etc/headscaled.service > $(O)/unit
	install -m 644 $(O)/unit \
	    '$(DESTDIR)$(PREFIX)/lib/systemd/system/headscaled.service'
	install -m 644 etc/sysusers.d/headscaled.conf \
	    '$(DESTDIR)$(PREFIX)/lib/sysusers.d'
	install -m 644 etc/completion/headscalectl.bash \
	    '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/headscalectl'
	install -m 644 etc/completion/_headscalectl \
	    '$(DESTDIR)$(PREFIX)/share/zsh/site-functions'
	install -m 644 etc/completion/headscalectl.fish \
	    '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d'

# One object or program: make one F=out/o/common/buf.o
one: rules
	@$(RULES) $(F)

clean:
	rm -rf out out-*

.PHONY: all rules tests fuzzers deps deps-check run check check-long captures \
	sim fuzz bench bench-policy bench-derp install one clean
