# Copyright 2026 the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2 or later

EAPI=8

inherit acct-user

DESCRIPTION="Account of Build Swarm's orchestrator"

# Any free one, as befits a repository beside Gentoo's.
ACCT_USER_ID=-1
ACCT_USER_GROUPS=( build-orchestrator )
ACCT_USER_HOME=/var/lib/build-orchestrator

acct-user_add_deps
