// A real OpenID provider, on this machine: what people sign in through in the journey `oidc`.

import { generateKeyPairSync } from 'node:crypto';

import Provider from 'oidc-provider';

/** What it calls the gateway, and the secret that the gateway shows. */
export const CLIENT = { id: 'postern', secret: 'kept between the two of them' };

/** Starts it on `port`; `people` by the name they type: what it says about them. */
export async function start(port, gateway, people) {
  const issuer = `http://localhost:${port}`;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const provider = new Provider(issuer, {
    clients: [{
      client_id: CLIENT.id,
      client_secret: CLIENT.secret,
      redirect_uris: [`${gateway}/sign-in/provider/back`],
      post_logout_redirect_uris: [`${gateway}/sign-in`],
    }],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'journey', use: 'sig', alg: 'RS256' }] },
    cookies: { keys: ['of this journey alone'] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
    pkce: { required: () => true },
    findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600, AuthorizationCode: 60 },
    // Its own forms for a login and a consent, made for trying out.
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  });
  const server = provider.listen(port, '127.0.0.1');
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject));
  return { issuer, close: () => new Promise(resolve => { server.closeAllConnections(); server.close(resolve); }) };
}
