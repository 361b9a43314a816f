# Copyright 2026 the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2 or later

EAPI=8

inherit acct-group

DESCRIPTION="Group of Build Swarm's binhost"

# Any free one, as befits a repository beside Gentoo's.
ACCT_GROUP_ID=-1
