// Copyright (c) 2026, the mlops.mlflow_gcp authors
// SPDX-License-Identifier: Apache-2.0
// oidc-provider with accounts for the test. Arguments: port, client ID, client secret, redirect URI.
import { Provider } from 'oidc-provider';

const [port, clientId, clientSecret, redirectUri] = process.argv.slice(2);
const unverified = 'unverified@example.com';

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri] }],
  claims: { openid: ['sub'], email: ['email', 'email_verified', 'hd'], profile: ['name'] },
  // OAuth2-Proxy reads the claims in the ID token.
  conformIdTokenClaims: false,
  cookies: { keys: ['a key of the test'] },
  // Each login of this page creates an account.
  features: { devInteractions: { enabled: true } },
  findAccount: (_context, email) => ({
    accountId: email,
    claims: () => ({ sub: email, email, email_verified: email !== unverified, hd: email.split('@')[1], name: email }),
  }),
});

provider.listen(Number(port), '127.0.0.1');
