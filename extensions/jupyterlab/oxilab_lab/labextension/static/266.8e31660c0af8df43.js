"use strict";(self.rspackChunkoxilab_lab=self.rspackChunkoxilab_lab||[]).push([[266],{646(e,o,t){var r=t(601),a=t.n(r),n=t(314),i=(t.n(n))()(a());i.push([e.id,`/* Everything takes JupyterLab's own variables, so that themes apply. */

.oxilab-Variables {
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  display: flex;
  flex-direction: column;
  font-size: var(--jp-ui-font-size1);
}

.oxilab-Variables-note {
  color: var(--jp-ui-font-color2);
  padding: 8px 12px;
}

.oxilab-Variables-scroll {
  flex: 1 1 auto;
  overflow: auto;
}

.oxilab-Variables table {
  border-collapse: collapse;
  width: 100%;
}

.oxilab-Variables th {
  background: var(--jp-layout-color2);
  font-weight: 600;
  position: sticky;
  text-align: left;
  top: 0;
  white-space: nowrap;
}

.oxilab-Variables th button {
  background: none;
  border: none;
  color: inherit;
  cursor: pointer;
  font: inherit;
  padding: 4px 8px;
}

.oxilab-Variables th button:focus-visible {
  outline: 1px solid var(--jp-brand-color1);
}

.oxilab-Variables td {
  border-bottom: 1px solid var(--jp-border-color2);
  max-width: 220px;
  overflow: hidden;
  padding: 3px 8px;
  text-overflow: ellipsis;
  white-space: nowrap;
}

/* Whose row it is stays in sight while a narrow side bar is scrolled. */
.oxilab-Variables td:first-child {
  background: var(--jp-layout-color1);
  left: 0;
  max-width: 110px;
  position: sticky;
}

.oxilab-Variables th:first-child {
  left: 0;
  z-index: 1;
}

.oxilab-Variables td.oxilab-number {
  text-align: right;
}

.oxilab-Variables td code {
  background: none;
  color: var(--jp-ui-font-color1);
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
}

.oxilab-Variables tr:hover td {
  background: var(--jp-layout-color2);
}

.oxilab-Variables a {
  color: var(--jp-content-link-color, var(--jp-brand-color1));
  cursor: pointer;
}

.oxilab-Frame-note {
  color: var(--jp-ui-font-color2);
  padding: 0 8px;
  white-space: nowrap;
}

.oxilab-Frame-sort {
  align-items: center;
  display: flex;
  gap: 4px;
}

/* What is shown is not there any more. */
.oxilab-Frame-gone .lm-DataGrid {
  opacity: 0.35;
}

.oxilab-Frame-gone .oxilab-Frame-note[role='status'] {
  color: var(--jp-error-color1);
}
`,""]),t.d(o,{},{A:i})},314(e){e.exports=function(e){var o=[];return o.toString=function(){return this.map(function(o){var t="",r=void 0!==o[5];return o[4]&&(t+="@supports (".concat(o[4],") {")),o[2]&&(t+="@media ".concat(o[2]," {")),r&&(t+="@layer".concat(o[5].length>0?" ".concat(o[5]):""," {")),t+=e(o),r&&(t+="}"),o[2]&&(t+="}"),o[4]&&(t+="}"),t}).join("")},o.i=function(e,t,r,a,n){"string"==typeof e&&(e=[[null,e,void 0]]);var i={};if(r)for(var l=0;l<this.length;l++){var s=this[l][0];null!=s&&(i[s]=!0)}for(var c=0;c<e.length;c++){var p=[].concat(e[c]);r&&i[p[0]]||(void 0!==n&&(void 0===p[5]||(p[1]="@layer".concat(p[5].length>0?" ".concat(p[5]):""," {").concat(p[1],"}")),p[5]=n),t&&(p[2]&&(p[1]="@media ".concat(p[2]," {").concat(p[1],"}")),p[2]=t),a&&(p[4]?(p[1]="@supports (".concat(p[4],") {").concat(p[1],"}"),p[4]=a):p[4]="".concat(a)),o.push(p))}},o}},601(e){e.exports=function(e){return e[1]}},665(e,o,t){t.r(o);var r=t(72),a=t.n(r),n=t(825),i=t.n(n),l=t(659),s=t.n(l),c=t(56),p=t.n(c),u=t(540),d=t.n(u),f=t(113),b=t.n(f),v=t(646),h={};h.styleTagTransform=b(),h.setAttributes=p(),h.insert=s().bind(null,"head"),h.domAPI=i(),h.insertStyleElement=d(),a()(v.A,h);let x=v.A&&v.A.locals?v.A.locals:void 0;t.d(o,{},{default:x})},72(e){var o=[];function t(e){for(var t=-1,r=0;r<o.length;r++)if(o[r].identifier===e){t=r;break}return t}function r(e,r){for(var a={},n=[],i=0;i<e.length;i++){var l=e[i],s=r.base?l[0]+r.base:l[0],c=a[s]||0,p="".concat(s," ").concat(c);a[s]=c+1;var u=t(p),d={css:l[1],media:l[2],sourceMap:l[3],supports:l[4],layer:l[5]};if(-1!==u)o[u].references++,o[u].updater(d);else{var f=function(e,o){var t=o.domAPI(o);return t.update(e),function(o){o?(o.css!==e.css||o.media!==e.media||o.sourceMap!==e.sourceMap||o.supports!==e.supports||o.layer!==e.layer)&&t.update(e=o):t.remove()}}(d,r);r.byIndex=i,o.splice(i,0,{identifier:p,updater:f,references:1})}n.push(p)}return n}e.exports=function(e,a){var n=r(e=e||[],a=a||{});return function(e){e=e||[];for(var i=0;i<n.length;i++){var l=t(n[i]);o[l].references--}for(var s=r(e,a),c=0;c<n.length;c++){var p=t(n[c]);0===o[p].references&&(o[p].updater(),o.splice(p,1))}n=s}}},659(e){var o={};e.exports=function(e,t){var r=function(e){if(void 0===o[e]){var t=document.querySelector(e);if(window.HTMLIFrameElement&&t instanceof window.HTMLIFrameElement)try{t=t.contentDocument.head}catch(e){t=null}o[e]=t}return o[e]}(e);if(!r)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");r.appendChild(t)}},540(e){e.exports=function(e){var o=document.createElement("style");return e.setAttributes(o,e.attributes),e.insert(o,e.options),o}},56(e,o,t){e.exports=function(e){var o=t.nc;o&&e.setAttribute("nonce",o)}},825(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var o=e.insertStyleElement(e);return{update:function(t){var r,a,n;r="",t.supports&&(r+="@supports (".concat(t.supports,") {")),t.media&&(r+="@media ".concat(t.media," {")),(a=void 0!==t.layer)&&(r+="@layer".concat(t.layer.length>0?" ".concat(t.layer):""," {")),r+=t.css,a&&(r+="}"),t.media&&(r+="}"),t.supports&&(r+="}"),(n=t.sourceMap)&&"u">typeof btoa&&(r+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(n))))," */")),e.styleTagTransform(r,o,e.options)},remove:function(){var e;null===(e=o).parentNode||e.parentNode.removeChild(e)}}}},113(e){e.exports=function(e,o){if(o.styleSheet)o.styleSheet.cssText=e;else{for(;o.firstChild;)o.removeChild(o.firstChild);o.appendChild(document.createTextNode(e))}}}}]);