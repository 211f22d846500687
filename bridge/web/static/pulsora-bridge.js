/* The Pulsora bridge: names the visit in Stripe's Payment Links, pricing tables and buy buttons.
   <script src="https://hooks.example.com/pulsora-bridge.js"></script>, see docs/attribution.md. */
(function (window, document) {
  "use strict";
  if (window.pulsoraVisit) return;
  var options = (document.currentScript || {}).dataset || {};
  var hosts = ["buy.stripe.com", "book.stripe.com", "donate.stripe.com"].concat((options.hosts || "").match(/[\w.-]+/g) || []);
  var selector = hosts.map(function (host) { return 'a[href*="//' + host + '/" i]'; }).join() +
    ",stripe-pricing-table,stripe-buy-button";
  var PARAMETER = "client_reference_id", ATTRIBUTE = "client-reference-id";
  var visit = {}, reference = "";

  function id(value) {
    value = value == null ? "" : String(value).trim();
    return value.length > 255 || /^(undefined|null|none|\[object object\]|cs_.*)$/i.test(value) ? "" : value;
  }

  function compose(fingerprint, session) {
    var plain = /^[\w-]+$/.test(fingerprint + session) && !/__|_$/.test(fingerprint) && session[0] !== "_";
    var found = plain ? "pls1_" + fingerprint + "__" + session
      : "pls2_" + btoa(unescape(encodeURIComponent(fingerprint + "\n" + session)))
        .replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
    return found.length > 200 ? "" : found;
  }

  function isFree(value) { return !id(value) || /^pls\d_/.test(value); }

  function tagLink(link) {
    var url = new URL(link.href);
    if (hosts.indexOf(url.hostname) < 0 || !isFree(url.searchParams.get(PARAMETER))) return;
    url.searchParams.set(PARAMETER, reference);
    if (link.href !== url.href) link.href = url.href;
  }

  function tagElement(element) {
    var value = element.getAttribute(ATTRIBUTE);
    if (isFree(value) && value !== reference) element.setAttribute(ATTRIBUTE, reference);
  }

  function tag() {
    if (reference) document.querySelectorAll(selector).forEach(function (element) {
      try { (element.href ? tagLink : tagElement)(element); } catch (error) { /* not a URL */ }
    });
  }

  function register(fingerprint, session) {
    fingerprint = id(fingerprint);
    session = id(session);
    if (!fingerprint || !session) return false;
    visit = { visitor_fingerprint: fingerprint, session_id: session };
    reference = compose(fingerprint, session);
    tag();
    return true;
  }

  /* @pulsora/core may load later, and knows the fingerprint later still. */
  function poll(wait) {
    new Promise(function (resolve) {
      resolve(window.pulsora && window.pulsora.getVisitorFingerprint());
    }).then(function (fingerprint) {
      return visit.session_id || (fingerprint && register(fingerprint, window.pulsora.getSessionId()));
    }).catch(function () {}).then(function (done) {
      if (!done) setTimeout(poll, wait, Math.min(wait * 1.5, 5000));
    });
  }

  window.pulsoraVisit = function (fingerprint, session) {
    if (arguments.length) register(fingerprint, session);
    return Object.assign({}, visit);
  };
  window.pulsoraVisit.reference = function () { return reference; };

  new MutationObserver(tag).observe(document, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["href", ATTRIBUTE]
  });
  if (!register(options.fingerprint, options.session)) poll(100);
})(window, document);
