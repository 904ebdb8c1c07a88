// A closed swarm on its tracker's page: somebody is invited, joins by the link, gets another role, and is put out.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { axe, go, Stage } from './support.mjs';

const stage = new Stage();
const anna = stage.somebody();
let page;

before(async () => {
  const folder = stage.folder();
  const tracker = await stage.tracker('--swarm', join(folder, 'founder.toml'), '--data', join(folder, 'data'));
  page = await stage.page(tracker.link);
});
after(() => stage.end());

test('who is invited on the page joins by its link', async () => {
  await go(page, '#/members');
  await page.waitForSelector('[aria-label="Members"] .row');
  await page.selectOption('form:has-text("Within hours") select', 'reader');
  await page.fill('form:has-text("Within hours") input[name=prefix]', 'anna/');
  await page.click('button:text-is("Make a link")');
  const drawn = await page.waitForSelector('img[alt="The link as a QR code"]');
  assert.ok(await drawn.evaluate(image => image.decode().then(() => image.naturalWidth >= 100)));
  const command = await page.textContent('.invite code');
  const link = /^p2p join '(p2p-join:127\.0\.0\.1:\d+\/[A-Z0-9-]+)'$/.exec(command)[1];
  assert.match(anna('join', link, '--name', 'anna', '--json'), /"role":"reader"/);
  await page.click('button:text-is("Done")');
  await page.waitForSelector('[aria-label="Members"] .row:has-text("anna")');
  assert.deepEqual(await axe(page), []);
});

test('a member gets another role, and is put out for good', async () => {
  const row = '[aria-label="Members"] .row:has-text("anna")';
  await page.selectOption(`${row} select`, 'publisher');
  await page.waitForSelector('.notice:has-text("anna is a publisher now")');
  const roles = () => fetch('api/v1/members?q=anna').then(told => told.json()).then(told => told.items.map(one => `${one.role} of ${one.prefix}`));
  assert.deepEqual(await page.evaluate(roles), ['publisher of anna/'], 'another role gives no more names');
  await page.click(`${row} button:text-is("Put out")`);
  await page.click('dialog button:text-is("Put it out")');
  await page.waitForSelector(row, { state: 'detached' });
  assert.deepEqual(await page.evaluate(roles), []);
  assert.throws(() => anna('ls'), /put out/);
  await go(page, '#/activity');
  await page.waitForSelector('.row:has-text("out of the swarm")');
  assert.deepEqual(page.trouble, []);
});
