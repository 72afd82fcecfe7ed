# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""OAuth 2 and accounts.google.com: people sign in, service accounts and users get tokens.

Emulated: the discovery document, the authorization code flow with PKCE, refresh and revocation of tokens, the userinfo
endpoint, token information and keys. Differences to Google:

- The sign-in page is a stand-in: it lists the test accounts and asks for no password. There is no consent page.
- No session stays in the browser. Each authorization shows the page, and `prompt=none` is refused.
- The device flow, the implicit flow and response modes other than `query` and `fragment` answer 501.
- Errors of the authorization endpoint are pages at once. Google redirects to the page.
"""
