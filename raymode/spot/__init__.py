"""Tells Ray when the cloud is about to take this machine away: python -m raymode.spot --cloud aws

Runs beside Ray on a spot machine, as the same user, from the standard library alone. It asks the metadata server of the
cloud, which needs no credentials, and at the notice has Ray drain the node of this machine (`ray drain-node`). It ends
after that, or when Ray on this machine ends; it ends nothing itself.
"""
